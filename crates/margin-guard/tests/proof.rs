//! What must not compile: every way around the two stamps. The expected compiler messages belong to the toolchain that
//! `rust-toolchain.toml` pins; after a change of it, `TRYBUILD=overwrite` writes them anew and the difference is reviewed.

#[test]
fn no_second_way_to_a_stamp() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
