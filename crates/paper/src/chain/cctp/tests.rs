use super::*;

const FORWARDER: Address = Address([0xf0; 20]);
const USER: Address = Address([0x07; 20]);

fn spec() -> CctpSpec {
    CctpSpec::new(Address([0x3e; 20]), FORWARDER)
}

fn hook_of(user: Address, dex: u32) -> Vec<u8> {
    [&TAG[..], &[0; 12], &0_u32.to_be_bytes(), &24_u32.to_be_bytes(), &user.0, &dex.to_be_bytes()].concat()
}

fn burn() -> Burn {
    Burn {
        depositor: Address([0xe1; 20]),
        units: 25_000_000,
        recipient: FORWARDER,
        domain: HYPER_EVM,
        caller: FORWARDER,
        fee_max: 200_000,
        hook: hook_of(USER, 0),
    }
}

#[test]
fn the_account_of_the_hook_is_credited_less_the_fee() {
    let credited = |hook, spot| {
        let arrival = spec().arrival(&Burn { hook, ..burn() });
        assert_eq!((arrival.user, arrival.amount, arrival.road), (USER, Usd::from_micros(24_800_000), Road::Cctp { spot }));
    };
    credited(hook_of(USER, 0), false);
    credited(hook_of(USER, u32::MAX), true);
}

#[test]
fn what_the_forwarder_would_not_credit_strands() {
    let other = Address([9; 20]);
    let mut versioned = hook_of(USER, 0);
    versioned[27] = 1;
    let mut tagged = hook_of(USER, 0);
    tagged[12] = b'!';
    for (burn, why) in [
        (Burn { domain: 3, ..burn() }, "the burn is for another domain"),
        (Burn { recipient: other, ..burn() }, "the burn is not for the forwarder"),
        (Burn { caller: other, ..burn() }, "the burn is not for the forwarder"),
        (Burn { fee_max: 199_999, ..burn() }, "the burn's cap is below the fee"),
        (Burn { units: 200_000, ..burn() }, "the fee takes all of it"),
        (Burn { hook: hook_of(USER, 7), ..burn() }, "the hook names a dex that does not exist"),
        (Burn { hook: Vec::new(), ..burn() }, "the forwarder cannot read the hook"),
        (Burn { hook: versioned, ..burn() }, "the forwarder cannot read the hook"),
        (Burn { hook: tagged, ..burn() }, "the forwarder cannot read the hook"),
    ] {
        assert_eq!(spec().arrival(&burn).road, Road::Stranded(why));
    }
}

/// The event's data as the messenger writes it.
fn data_of(burn: &Burn) -> Vec<u8> {
    let number = |n: u64| [vec![0; 24], n.to_be_bytes().to_vec()].concat();
    let address = |a: Address| [vec![0; 12], a.0.to_vec()].concat();
    let head = [
        number(burn.units),
        address(burn.recipient),
        number(burn.domain),
        vec![0x77; 32],
        address(burn.caller),
        number(burn.fee_max),
        number(32 * HEAD_WORDS as u64),
    ];
    let mut hook = burn.hook.clone();
    hook.resize(hook.len().div_ceil(32) * 32, 0);
    [head.concat(), number(burn.hook.len() as u64), hook].concat()
}

#[test]
fn the_event_is_read_strictly() {
    let data = data_of(&burn());
    assert_eq!(Burn::read(burn().depositor, &data), Some(burn()));
    let empty = Burn { hook: Vec::new(), ..burn() };
    assert_eq!(Burn::read(burn().depositor, &data_of(&empty)), Some(empty));
    for short in [0, 31, 223, 255, 256, 300] {
        assert_eq!(Burn::read(burn().depositor, &data[..short]), None, "{short}");
    }
    let with = |at: usize, byte: u8| {
        let mut data = data.clone();
        data[at] = byte;
        Burn::read(burn().depositor, &data)
    };
    assert_eq!(with(0, 1), None, "more than there is");
    assert_eq!(with(32 * 6, 1), None, "the hook lies nowhere");
    assert_eq!(with(32 * 7, 1), None, "the hook has no end");
    assert_eq!(with(32, 1).map(|b| b.recipient), Some(Address::ZERO), "not an EVM address");
    assert_eq!(with(32 * 5, 1).map(|b| b.fee_max), Some(u64::MAX));
}
