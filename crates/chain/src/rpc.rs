//! JSON-RPC to one endpoint: one request, one answer, one deadline.

use std::time::Duration;

use domain::{EvmAddress, Inclusion, RawTx, TxHash, Wei};
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Url, redirect};
use serde_json::{Value, json};

use crate::abi;
use crate::machine::{Glance, MinedTx, Preflight};

/// Largest answer read: a block header and some receipts are a few kilobytes.
const BODY_MAX: usize = 1 << 20;

/// Why an endpoint gave no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RpcFault {
    /// No complete answer: whether the request took effect is not known.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// An answer that cannot be read.
    #[error("an answer that cannot be read: {0}")]
    Unreadable(String),
    /// It is of another chain; what else it says is of no interest.
    #[error("it is of chain {have}, not {want}")]
    OtherChain {
        /// Its chain.
        have: u64,
        /// The chain wanted.
        want: u64,
    },
    /// The endpoint refused.
    #[error("refused ({code}): {message}")]
    Refused {
        /// Its code.
        code: i64,
        /// Its words, or the contract's.
        message: String,
    },
}

/// One endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    url: Url,
    client: Client,
    deadline: Duration,
}

/// What is asked about in one glance.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub chain_id: u64,
    pub wallet: EvmAddress,
    pub token: EvmAddress,
    /// Every attempt that may be in a block.
    pub attempts: Vec<TxHash>,
    /// The transfer to try, if one is wanted.
    pub trial: Option<Trial>,
}

/// A transfer to be tried without signing it.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    /// Who receives the token.
    pub receiver: EvmAddress,
    pub amount: u64,
    /// The call that would be signed.
    pub to: EvmAddress,
    pub data: Vec<u8>,
    /// The separator under which an authorisation was signed, if one is part of the call.
    pub domain: Option<[u8; 32]>,
}

impl Endpoint {
    /// # Errors
    /// If the address is none, or no HTTP client can be made.
    pub(crate) fn new(url: &str, deadline: Duration) -> Result<Endpoint, String> {
        let url = Url::parse(url).map_err(|e| e.to_string())?;
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .http1_only()
            .build()
            .map_err(|e| e.to_string())?;
        Ok(Endpoint { url, client, deadline })
    }

    async fn post(&self, body: &Value) -> Result<Value, RpcFault> {
        // without the address, which may carry an access key
        let broken = |error: reqwest::Error| RpcFault::NoAnswer(error.without_url().to_string());
        let content = HeaderValue::from_static("application/json");
        let request = self.client.post(self.url.clone()).header(CONTENT_TYPE, content).body(body.to_string());
        let exchange = async {
            let mut response = request.send().await.map_err(broken)?;
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(broken)? {
                if body.len() + chunk.len() > BODY_MAX {
                    return Err(RpcFault::Unreadable("it is larger than 1 MiB".into()));
                }
                body.extend_from_slice(&chunk);
            }
            serde_json::from_slice(&body).map_err(|_| RpcFault::Unreadable(format!("status {}, not JSON", response.status())))
        };
        let late = RpcFault::NoAnswer(format!("within {:?}", self.deadline));
        tokio::time::timeout(self.deadline, exchange).await.unwrap_or(Err(late))
    }

    /// Several calls in one request, so that their answers are of about one moment.
    async fn batch(&self, calls: &[(&str, Value)]) -> Result<Vec<Result<Value, RpcFault>>, RpcFault> {
        let body: Vec<Value> = calls
            .iter()
            .enumerate()
            .map(|(id, (method, params))| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))
            .collect();
        let answer = self.post(&Value::Array(body)).await?;
        let Value::Array(answers) = answer else {
            return Err(result(&answer).err().unwrap_or_else(|| RpcFault::Unreadable("not a batch".into())));
        };
        let mut all: Vec<Option<Result<Value, RpcFault>>> = vec![None; calls.len()];
        for one in &answers {
            let id = one["id"].as_u64().and_then(|id| usize::try_from(id).ok());
            if let Some(slot) = id.and_then(|id| all.get_mut(id)) {
                *slot = Some(result(one));
            }
        }
        let missing = || RpcFault::Unreadable("a call of the batch is not answered".into());
        Ok(all.into_iter().map(|one| one.unwrap_or_else(|| Err(missing()))).collect())
    }

    async fn call(&self, method: &str, params: Value) -> Result<Value, RpcFault> {
        result(&self.post(&json!({"jsonrpc": "2.0", "id": 0, "method": method, "params": params})).await?)
    }

    pub(crate) async fn chain_id(&self) -> Result<u64, RpcFault> {
        quantity(&self.call("eth_chainId", json!([])).await?)
    }

    pub(crate) async fn decimals(&self, token: EvmAddress) -> Result<u64, RpcFault> {
        let data = text(&abi::decimals());
        word(&self.call("eth_call", json!([{"to": token.to_string(), "data": data}, "latest"])).await?).map(low)
    }

    /// Hands signed bytes over. That the endpoint has them already is as good as that it takes them.
    pub(crate) async fn send(&self, raw: &RawTx) -> Result<(), RpcFault> {
        match self.call("eth_sendRawTransaction", json!([raw.to_string()])).await {
            Ok(_) => Ok(()),
            Err(RpcFault::Refused { message, .. }) if message.contains("already") => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// What it shows of the chain, the wallet and the attempts.
    pub(crate) async fn glance(&self, question: &Question) -> Result<Glance, RpcFault> {
        let wallet = question.wallet.to_string();
        let balance = json!([{"to": question.token.to_string(), "data": text(&abi::balance_of(question.wallet))}, "latest"]);
        // nonces before receipts: a transaction that is mined in between is seen as used by nobody, never as free
        let mut calls = vec![
            ("eth_chainId", json!([])),
            ("eth_getTransactionCount", json!([wallet, "safe"])),
            ("eth_getTransactionCount", json!([wallet, "latest"])),
            ("eth_getBlockByNumber", json!(["safe", false])),
            ("eth_feeHistory", json!(["0x1", "latest", []])),
            ("eth_getBalance", json!([wallet, "latest"])),
            ("eth_call", balance),
            ("eth_estimateGas", json!([{"from": wallet, "to": wallet, "value": "0x0"}])),
        ];
        let fixed = calls.len();
        for hash in &question.attempts {
            calls.push(("eth_getTransactionReceipt", json!([hash.to_string()])));
            calls.push(("eth_getTransactionByHash", json!([hash.to_string()])));
        }
        // the newest block last: a receipt in a block beyond it would be a lie
        calls.push(("eth_getBlockByNumber", json!(["latest", false])));
        let answers = self.batch(&calls).await?;
        let at = |n: usize| answers.get(n).cloned().unwrap_or_else(|| Err(RpcFault::Unreadable("no answer".into())));
        // on another chain the token is nothing, and that would be the fault that is seen
        let chain_id = quantity(&at(0)?)?;
        if chain_id != question.chain_id {
            return Err(RpcFault::OtherChain { have: chain_id, want: question.chain_id });
        }
        let fee = at(4)?;
        let next_fee = fee["baseFeePerGas"].as_array().and_then(|all| all.last()).cloned().unwrap_or(Value::Null);
        let head = at(calls.len() - 1)?;
        let mut mined = None;
        let mut known = false;
        for n in (fixed..calls.len() - 1).step_by(2) {
            let receipt = at(n)?;
            if receipt.is_null() {
                known |= at(n + 1)?["hash"].is_string();
            } else {
                mined = Some(self.mined(&receipt).await?);
            }
        }
        let gas = Wei(amount(&at(5)?)?);
        let preflight = match &question.trial {
            None => None,
            Some(trial) => Some(self.try_out(question, trial, gas).await),
        };
        Ok(Glance {
            chain_id,
            nonce_safe: quantity(&at(1)?)?,
            nonce: quantity(&at(2)?)?,
            safe: quantity(&at(3)?["number"])?,
            base_fee: Wei(amount(&next_fee)?),
            gas,
            balance: low(word(&at(6)?)?),
            burn_gas: at(7).ok().and_then(|gas| quantity(&gas).ok()),
            head: quantity(&head["number"])?,
            head_time_s: quantity(&head["timestamp"])?,
            mined,
            known,
            preflight,
        })
    }

    async fn mined(&self, receipt: &Value) -> Result<MinedTx, RpcFault> {
        let block = quantity(&receipt["blockNumber"])?;
        let canonical = self.call("eth_getBlockByNumber", json!([format!("{block:#x}"), false])).await?;
        let price = amount(&receipt["effectiveGasPrice"])?;
        let inclusion = Inclusion {
            hash: hash(&receipt["transactionHash"])?,
            block,
            block_hash: hash(&receipt["blockHash"])?,
            success: quantity(&receipt["status"])? == 1,
            gas_cost: Wei(price.saturating_mul(amount(&receipt["gasUsed"])?)),
        };
        Ok(MinedTx { inclusion, canonical: hash(&canonical["hash"])? })
    }

    /// Whether the transfer would succeed from the newest block, whether all of it would arrive, and how much gas it takes.
    async fn try_out(&self, question: &Question, trial: &Trial, gas: Wei) -> Preflight {
        match self.trial(question, trial).await {
            Ok(Ok(limit)) => Preflight::Passed { gas: limit, balance: gas },
            Ok(Err(why)) => Preflight::Refused(why),
            Err(RpcFault::Refused { code: 3, message }) => Preflight::Refused(message),
            Err(RpcFault::Refused { message, .. }) if message.contains("revert") => Preflight::Refused(message),
            Err(fault) => Preflight::Unknown(fault.to_string()),
        }
    }

    async fn trial(&self, question: &Question, trial: &Trial) -> Result<Result<u64, String>, RpcFault> {
        let wallet = question.wallet.to_string();
        let probe = json!([
            {"from": wallet, "to": wallet, "data": text(&abi::probe_call(question.token, trial.receiver, trial.amount))},
            "latest",
            {wallet.clone(): {"code": text(&abi::probe_code())}},
        ]);
        let arrived = word(&self.call("eth_call", probe).await?)?;
        if arrived != padded(trial.amount) {
            let got = low(arrived);
            return Ok(Err(format!("of {} units of the token {got} would arrive: it keeps a fee", trial.amount)));
        }
        if let Some(expected) = trial.domain {
            let call = json!([{"to": question.token.to_string(), "data": text(&abi::domain_separator_call())}, "latest"]);
            let have = word(&self.call("eth_call", call).await?)?;
            if have != expected {
                return Ok(Err("the token signs under another name or version than USDC does".into()));
            }
        }
        let call = json!([{"from": wallet, "to": trial.to.to_string(), "data": text(&trial.data)}]);
        quantity(&self.call("eth_estimateGas", call).await?).map(Ok)
    }
}

/// The result of one answer; a contract's own reason if it reverted.
fn result(answer: &Value) -> Result<Value, RpcFault> {
    let error = &answer["error"];
    if error.is_null() {
        return answer.get("result").cloned().ok_or_else(|| RpcFault::Unreadable("neither result nor error".into()));
    }
    let data = error["data"].as_str().and_then(|data| hex::decode(data.trim_start_matches("0x")).ok());
    let message = data.as_deref().and_then(abi::revert_reason);
    let message = message.map(|reason| format!("the contract would revert: {reason}"));
    let plain = || error["message"].as_str().unwrap_or("no reason").chars().filter(|c| !c.is_control()).take(160).collect();
    Err(RpcFault::Refused { code: error["code"].as_i64().unwrap_or(0), message: message.unwrap_or_else(plain) })
}

fn text(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

fn amount(value: &Value) -> Result<u128, RpcFault> {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
    digits.and_then(|digits| u128::from_str_radix(digits, 16).ok()).ok_or_else(|| {
        let shown: String = value.to_string().chars().take(60).collect();
        RpcFault::Unreadable(format!("{shown} where a quantity was expected"))
    })
}

fn quantity(value: &Value) -> Result<u64, RpcFault> {
    u64::try_from(amount(value)?).map_err(|_| RpcFault::Unreadable("a quantity of more than 64 bits".into()))
}

fn hash(value: &Value) -> Result<TxHash, RpcFault> {
    let read = value.as_str().and_then(|text| text.parse().ok());
    read.ok_or_else(|| RpcFault::Unreadable("no hash where one was expected".into()))
}

fn word(value: &Value) -> Result<[u8; 32], RpcFault> {
    let bytes = value.as_str().and_then(|text| hex::decode(text.trim_start_matches("0x")).ok());
    let word = bytes.and_then(|bytes| bytes.get(..32)?.try_into().ok());
    word.ok_or_else(|| RpcFault::Unreadable("less than a word: is the token a contract?".into()))
}

fn padded(n: u64) -> [u8; 32] {
    let mut word = [0; 32];
    word[24..].copy_from_slice(&n.to_be_bytes());
    word
}

/// The low 64 bits; all ones if there are more, which no balance of a token with six decimals has.
fn low(word: [u8; 32]) -> u64 {
    let mut low = [0; 8];
    low.copy_from_slice(&word[24..]);
    if word[..24].iter().all(|byte| *byte == 0) { u64::from_be_bytes(low) } else { u64::MAX }
}
