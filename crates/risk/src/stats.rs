//! Statistics with bounded memory.
