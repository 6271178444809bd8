"""The official Python SDK, unmodified, cancels many open orders as a bot's author would write it.

Arguments: the venue's address, its control address, `one-by-one` or `bulk`, how many orders, and the faults to order at the venue
before the first cancel (JSON). It prints when it began, by the machine's monotonic clock and by wall time, and the orders' numbers.
What came of it the venue knows.
"""

import json
import os
import sys
import time
import urllib.request

import eth_account
from hyperliquid.exchange import Exchange

URL, CONTROL, MODE, COUNT, FAULTS = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]
ACCOUNT = eth_account.Account.from_key("0x" + "11" * 32)
# The venue takes 200 in one action.
BATCH = 200
# The SDK waits for ever unless told otherwise; nobody who means to stop would.
TIMEOUT_S = 5


def control(method, body=None):
    request = urllib.request.Request(f"{CONTROL}/control/faults", data=body, method=method)
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20).read()


def attempt(call, *arguments):
    try:
        call(*arguments)
    except Exception as error:  # whatever it raises, the next order's turn comes
        print(f"python_kill: {type(error).__name__}", file=sys.stderr)


exchange = Exchange(ACCOUNT, URL, account_address=ACCOUNT.address, timeout=TIMEOUT_S)
resting = []
while len(resting) < COUNT:
    batch = min(100, COUNT - len(resting))
    order = {"coin": "BTC", "is_buy": True, "sz": 0.001, "limit_px": 50000, "order_type": {"limit": {"tif": "Gtc"}}, "reduce_only": False}
    answer = exchange.bulk_orders([order] * batch)
    resting += [status["resting"]["oid"] for status in answer["response"]["data"]["statuses"]]

control("POST", FAULTS.encode())
began_ns, began_ms = time.monotonic_ns(), int(time.time() * 1000)
if MODE == "bulk":
    for first in range(0, COUNT, BATCH):
        attempt(exchange.bulk_cancel, [{"coin": "BTC", "oid": oid} for oid in resting[first : first + BATCH]])
else:
    for oid in resting:
        attempt(exchange.cancel, "BTC", oid)
control("DELETE")
print(json.dumps({"ns": began_ns, "ms": began_ms, "oids": resting}), flush=True)
# The SDK's socket threads must not keep the script alive.
os._exit(0)
