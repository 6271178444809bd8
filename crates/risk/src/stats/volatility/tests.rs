//! Worked numbers of quant §1.2, and what bars may come as.
