"""The official Python SDK, unmodified, signs the transfers in the file that is the first argument: one line of JSON for each, the body that
it would have posted, or null where it has no such call. Nothing is sent.
"""

import json
import sys
from unittest.mock import patch

import eth_account
from hyperliquid.exchange import Exchange
from hyperliquid.utils.constants import MAINNET_API_URL

with open(sys.argv[1]) as file:
    told = json.load(file)
markets = told["markets"]


class Kept(Exchange):
    """Keeps what it would post."""

    kept = None

    def post(self, url_path, payload=None):
        self.kept = payload
        return {"status": "ok", "response": {"type": "default"}}


def sign(case):
    wallet = eth_account.Account.from_key(case["key"])
    base = MAINNET_API_URL if case["mainnet"] else "http://127.0.0.1:1"
    a = case["arguments"]
    exchange = Kept(wallet, base, meta=markets["meta"], spot_meta=markets["spot"])
    exchange.set_expires_after(case["expires"])
    # the clock is the one thing that is ours
    with patch("hyperliquid.exchange.get_timestamp_ms", return_value=case["nonce"]):
        if case["call"] == "class_transfer":
            exchange.vault_address = a.get("sub")
            exchange.usd_class_transfer(float(a["amount"]), a["to_perp"])
        elif case["call"] == "sub_account_transfer":
            exchange.sub_account_transfer(a["sub"], a["deposit"], a["micros"])
        elif case["call"] == "isolated_margin":
            exchange.update_isolated_margin(float(a["amount"]), a["coin"])
        elif case["call"] == "withdraw":
            exchange.withdraw_from_bridge(float(a["amount"]), a["destination"])
    return exchange.kept


for case in told["cases"]:
    print(json.dumps(sign(case)), flush=True)
