"""The official Python SDK, unmodified, trades on the paper venue whose address is the first argument.

Two accounts meet on BTC, where nothing else moves, so each number is known; ETH has a market of its own to trade against.
Exits non-zero at the first thing that is not as the real venue would have it.
"""

import sys
import threading
import time
from decimal import Decimal

import eth_account
from hyperliquid.exchange import Exchange
from hyperliquid.info import Info
from hyperliquid.utils.types import Cloid

URL = sys.argv[1]
MAKER = eth_account.Account.from_key("0x" + "11" * 32)
TAKER = eth_account.Account.from_key("0x" + "22" * 32)
WAIT_S = 30
ALO, GTC, IOC = ({"limit": {"tif": tif}} for tif in ("Alo", "Gtc", "Ioc"))

checks = 0


def check(holds, what, *seen):
    global checks
    if not holds:
        print(f"python_sdk: {what}: {seen}", file=sys.stderr, flush=True)
        # The SDK's socket threads must not keep a failed run alive.
        import os

        os._exit(1)
    checks += 1


class Stream:
    """Everything a subscription has delivered, and a wait for more with an end."""

    def __init__(self):
        self.messages = []
        self.news = threading.Condition()

    def __call__(self, message):
        with self.news:
            self.messages.append(message)
            self.news.notify_all()

    def wait(self, what, wanted):
        end = time.monotonic() + WAIT_S
        with self.news:
            while True:
                for message in self.messages:
                    found = wanted(message["data"])
                    if found:
                        check(True, what)
                        return found
                left = end - time.monotonic()
                if left <= 0:
                    check(False, f"stream never showed {what}", self.messages[-3:])
                self.news.wait(left)


def status(answer):
    check(answer["status"] == "ok", "action accepted", answer)
    statuses = answer["response"]["data"]["statuses"]
    check(len(statuses) == 1, "one status for one order", answer)
    return statuses[0]


def resting(answer):
    found = status(answer)
    check("resting" in found, "order rests", found)
    return found["resting"]["oid"]


def refused(answer, text):
    found = status(answer)
    check(text in found.get("error", ""), f"refused with {text!r}", found)


def update(oid, state):
    return lambda updates: next((u for u in updates if u["order"]["oid"] == oid and u["status"] == state), None)


info = Info(URL)
maker = Exchange(MAKER, URL, account_address=MAKER.address)
taker = Exchange(TAKER, URL, account_address=TAKER.address)

# What the venue says of itself.
meta = info.meta()
check(meta["universe"][0]["name"] == "BTC" and meta["universe"][0]["szDecimals"] == 5, "BTC is asset 0", meta["universe"][0])
check(any(asset.get("isDelisted") for asset in meta["universe"]), "delisted assets keep their place")
universe, contexts = info.meta_and_asset_ctxs()
check(len(universe["universe"]) == len(contexts), "one context per asset")
oracle = Decimal(contexts[0]["oraclePx"])
state = info.user_state(MAKER.address)
check(state["assetPositions"] == [], "a new account is flat", state)
check(Decimal(state["marginSummary"]["accountValue"]) == 100_000, "and has its paper money", state["marginSummary"])
book = info.l2_snapshot("ETH")
bids, asks = book["levels"]
check(bids and asks, "ETH has a market", book)
check(Decimal(bids[0]["px"]) < Decimal(asks[0]["px"]), "which is not crossed", bids[0], asks[0])
check([Decimal(b["px"]) for b in bids] == sorted((Decimal(b["px"]) for b in bids), reverse=True), "bids best first")

books, trades, orders, events, fills = (Stream() for _ in range(5))
info.subscribe({"type": "l2Book", "coin": "BTC"}, books)
info.subscribe({"type": "trades", "coin": "BTC"}, trades)
info.subscribe({"type": "orderUpdates", "user": MAKER.address}, orders)
info.subscribe({"type": "userEvents", "user": MAKER.address}, events)
info.subscribe({"type": "userFills", "user": MAKER.address}, fills)
books.wait("a first snapshot of the book", lambda data: data["coin"] == "BTC")
fills.wait("the snapshot of past fills", lambda data: data.get("isSnapshot") and data["fills"] == [])

answer = maker.update_leverage(5, "BTC")
check(answer == {"status": "ok", "response": {"type": "default"}}, "leverage is set", answer)

# Place.
price = int(oracle * Decimal("0.98"))
cloid = Cloid.from_int(1)
oid = resting(maker.order("BTC", True, 0.01, price, ALO, cloid=cloid))
(working,) = info.open_orders(MAKER.address)
check(working["oid"] == oid and working["cloid"] == cloid.to_raw(), "the order is open under both its names", working)
check((Decimal(working["limitPx"]), Decimal(working["sz"]), working["side"]) == (price, Decimal("0.01"), "B"), "as it was sent", working)
(shown,) = info.frontend_open_orders(MAKER.address)
check(shown["tif"] == "Alo" and shown["orderType"] == "Limit" and not shown["reduceOnly"], "and as a front end sees it", shown)
for name in (info.query_order_by_oid(MAKER.address, oid), info.query_order_by_cloid(MAKER.address, cloid)):
    check(name["status"] == "order" and name["order"]["status"] == "open" and name["order"]["order"]["oid"] == oid, "found by name", name)
check(info.query_order_by_oid(MAKER.address, oid + 10**9) == {"status": "unknownOid"}, "an order nobody placed is unknown")
orders.wait("the order open", update(oid, "open"))
books.wait("the order in the book", lambda data: any((Decimal(level["px"]), Decimal(level["sz"])) == (price, Decimal("0.01")) for level in data["levels"][0]))

# Modify: cancel and replace, a new id.
answer = maker.modify_order(oid, "BTC", True, 0.02, price + 10, ALO, cloid=cloid)
new = resting(answer)
check(new != oid, "a modified order has a new id", oid, new)
(working,) = info.open_orders(MAKER.address)
check((working["oid"], Decimal(working["limitPx"]), Decimal(working["sz"])) == (new, price + 10, Decimal("0.02")), "and the new terms", working)
orders.wait("the old order canceled", update(oid, "canceled"))
orders.wait("the new order open", update(new, "open"))
refused(maker.modify_order(oid, "BTC", True, 0.02, price, ALO), "Cannot modify canceled or filled order")

# Cancel, by either name and in a batch.
check(status(maker.cancel("BTC", new)) == "success", "canceled")
orders.wait("it canceled", update(new, "canceled"))
refused(maker.cancel("BTC", new), "Order was never placed, already canceled, or filled.")
oid = resting(maker.order("BTC", True, 0.01, price, GTC, cloid=Cloid.from_int(2)))
check(status(maker.cancel_by_cloid("BTC", Cloid.from_int(2))) == "success", "canceled by client id")
check(info.query_order_by_oid(MAKER.address, oid)["order"]["status"] == "canceled", "and known as canceled")
batch = [{"coin": "BTC", "is_buy": True, "sz": 0.01, "limit_px": price - step, "order_type": ALO, "reduce_only": False} for step in (0, 10, 20)]
answer = maker.bulk_orders(batch)
oids = [each["resting"]["oid"] for each in answer["response"]["data"]["statuses"]]
check(len(set(oids)) == 3, "three orders, three ids", answer)
answer = maker.bulk_cancel([{"coin": "BTC", "oid": each} for each in oids])
check(answer["response"]["data"]["statuses"] == ["success"] * 3, "three canceled", answer)
check(info.open_orders(MAKER.address) == [], "nothing is left open")

# Refusals.
refused(maker.order("BTC", True, 0.0001, price, GTC), "Order must have minimum value of $10.")
refused(maker.order("BTC", True, 0.01, price, IOC), "Order could not immediately match against any resting orders.")
refused(maker.order("BTC", True, 0.01, price, GTC, reduce_only=True), "Reduce only order would increase position.")
refused(maker.order("BTC", True, 100, price, GTC), "Insufficient margin to place order.")
refused(maker.order("BTC", True, 0.01, price + 0.5, GTC), "Price must be divisible by tick size.")

# Get filled: the maker rests, the taker comes.
oid = resting(maker.order("BTC", True, 0.02, price, ALO))
refused(taker.order("BTC", False, 0.01, price, ALO), "Post only order would have immediately matched")
answer = status(taker.order("BTC", False, 0.015, price - 100, IOC))
check((Decimal(answer["filled"]["totalSz"]), Decimal(answer["filled"]["avgPx"])) == (Decimal("0.015"), price), "filled at the resting price", answer)
fill = fills.wait("the maker's fill", lambda data: next((f for f in data["fills"] if f["oid"] == oid), None))
check((Decimal(fill["px"]), Decimal(fill["sz"]), fill["side"], fill["crossed"]) == (price, Decimal("0.015"), "B", False), "as the maker", fill)
check(fill["dir"] == "Open Long" and Decimal(fill["startPosition"]) == 0 and Decimal(fill["closedPnl"]) == 0, "opening", fill)
notional = price * Decimal("0.015")
check(abs(Decimal(fill["fee"]) - notional * Decimal("0.00015")) < Decimal("0.00001"), "at 1.5 bp", fill)
events.wait("the same fill as an event", lambda data: any(f["tid"] == fill["tid"] for f in data.get("fills", [])))
(theirs,) = info.user_fills(TAKER.address)
check(theirs["tid"] == fill["tid"] and theirs["crossed"] and theirs["side"] == "A", "both sides share the trade's id", theirs)
check(abs(Decimal(theirs["fee"]) - notional * Decimal("0.00045")) < Decimal("0.00001"), "the taker pays 4.5 bp", theirs)
tape = trades.wait("the trade", lambda data: next((t for t in data if t["tid"] == fill["tid"]), None))
check((tape["side"], Decimal(tape["sz"])) == ("A", Decimal("0.015")), "with the aggressor's side", tape)
(working,) = info.open_orders(MAKER.address)
check((Decimal(working["sz"]), Decimal(working["origSz"])) == (Decimal("0.005"), Decimal("0.02")), "the rest still works", working)

# Positions.
for account, size in ((MAKER, Decimal("0.015")), (TAKER, Decimal("-0.015"))):
    state = info.user_state(account.address)
    (held,) = (each["position"] for each in state["assetPositions"])
    check((held["coin"], Decimal(held["szi"]), Decimal(held["entryPx"])) == ("BTC", size, price), "the position is booked", held)
    check(Decimal(state["marginSummary"]["totalNtlPos"]) > 0, "and counts", state["marginSummary"])
held = info.user_state(MAKER.address)["assetPositions"][0]["position"]
check(held["leverage"] == {"type": "cross", "value": 5}, "at the leverage that was set", held)

# Reduce-only: more than the position is cut to it, and the position ends flat.
ask = resting(maker.order("BTC", False, 0.05, price + 100, ALO, reduce_only=True))
answer = status(taker.market_close("BTC"))
check(Decimal(answer["filled"]["totalSz"]) == Decimal("0.015"), "the taker closes", answer)
orders.wait("the reduce-only order done", lambda data: update(ask, "filled")(data) or update(ask, "reduceOnlyCanceled")(data))
check(status(maker.cancel("BTC", oid)) == "success", "the rest of the bid is canceled")
for account in (MAKER, TAKER):
    check(info.user_state(account.address)["assetPositions"] == [], "flat again")
pnl = sum(Decimal(f["closedPnl"]) for f in info.user_fills(MAKER.address))
check(pnl == Decimal("1.5"), "0.015 BTC bought and sold 100 apart earned 1.5", pnl)
fees = sum(Decimal(f["fee"]) for f in info.user_fills(MAKER.address))
value = Decimal(info.user_state(MAKER.address)["marginSummary"]["accountValue"])
check(abs(value - (100_000 + pnl - fees)) < Decimal("0.00001"), "and the account holds just that, less fees", value, pnl, fees)

# A market with a life of its own.
answer = status(taker.market_open("ETH", True, 0.5))
check(Decimal(answer["filled"]["totalSz"]) == Decimal("0.5"), "a market order fills", answer)
held = {each["position"]["coin"]: each["position"] for each in info.user_state(TAKER.address)["assetPositions"]}
check(Decimal(held["ETH"]["szi"]) == Decimal("0.5"), "and is held", held)
status(taker.market_close("ETH"))
check(info.user_state(TAKER.address)["assetPositions"] == [], "and closed")

# The rest of what a bot asks.
now = int(time.time() * 1000)
check(maker.schedule_cancel(now + 60_000)["status"] == "ok", "a dead man's switch can be set")
check(maker.schedule_cancel(None)["status"] == "ok", "and cleared")
check(len(info.candles_snapshot("ETH", "1m", now - 3_600_000, now)) > 0, "candles")
check(isinstance(info.funding_history("ETH", now - 86_400_000), list), "funding history")
check("userCrossRate" in info.user_fees(MAKER.address), "fees")
check(info.user_role(MAKER.address) == {"role": "user"}, "role")
check(info.user_rate_limit(MAKER.address)["nRequestsUsed"] > 0, "requests are counted")
history = [(row["order"]["oid"], row["status"]) for row in info.historical_orders(MAKER.address)]
check((oid, "canceled") in history and (new, "canceled") in history, "history", history[:6])
check(info.user_fills_by_time(MAKER.address, now - 3_600_000)[0]["tid"] == fill["tid"], "fills by time, oldest first")

info.disconnect_websocket()
maker.info.disconnect_websocket() if maker.info.ws_manager else None
print(f"ok python_sdk: {checks} checks", flush=True)
