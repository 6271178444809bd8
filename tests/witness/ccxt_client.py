"""ccxt with its streaming half, unmodified, trades on the paper venue whose address is the first argument.

ccxt signs for mainnet, approves its own builder fee and sets its referrer before it does anything else, and sends a builder with each
order: all of that is left as it is. Exits non-zero at the first thing that is not as the real venue would have it.
"""

import asyncio
import sys
import time

import ccxt.pro as ccxt

URL = sys.argv[1]
WAIT_S = 30
BTC, ETH = "BTC/USDC:USDC", "ETH/USDC:USDC"

checks = 0


class Wrong(Exception):
    pass


def check(holds, what, *seen):
    global checks
    if not holds:
        raise Wrong(f"{what}: {seen}")
    checks += 1


def near(a, b):
    return abs(float(a) - float(b)) < 1e-9


def client(key, address):
    exchange = ccxt.hyperliquid({"privateKey": key, "walletAddress": address})
    exchange.urls["api"]["public"] = exchange.urls["api"]["private"] = URL
    exchange.urls["api"]["ws"]["public"] = "ws" + URL[len("http"):] + "/ws"
    return exchange


async def watched(call, what, wanted):
    """Calls a watch method until one of its rows is wanted."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        for row in await asyncio.wait_for(call(), max(0.1, end - time.monotonic())):
            if wanted(row):
                check(True, what)
                return row
    raise Wrong(f"stream never showed {what}")


async def refused(call, kind, text):
    try:
        answer = await call
    except kind as error:
        check(text in str(error), f"refused with {text!r}", error)
    else:
        check(False, f"should be refused with {text!r}", answer)


async def trade(maker, taker):
    markets = await maker.load_markets()
    check(BTC in markets and markets[BTC]["swap"] and markets[BTC]["linear"], "BTC is a linear swap")
    check(near(markets[BTC]["precision"]["amount"], 1e-5), "with its lot", markets[BTC]["precision"])
    balance = await maker.fetch_balance()
    check(near(balance["USDC"]["total"], 100_000), "the paper money is there", balance["USDC"])
    check(await maker.fetch_positions() == [], "and no position")
    book = await maker.fetch_order_book(ETH)
    check(book["bids"] and book["asks"] and book["bids"][0][0] < book["asks"][0][0], "ETH has a market", book["bids"][:1], book["asks"][:1])
    oracle = float(markets[BTC]["info"]["oraclePx"])
    price = float(int(oracle * 0.97))

    # Streams first: order updates and fills are not repeated for latecomers.
    updates = asyncio.create_task(watched(lambda: maker.watch_orders(BTC), "the order open", lambda row: row["status"] == "open"))
    first = asyncio.wait_for(maker.watch_order_book(BTC), WAIT_S)
    check((await first)["symbol"] == BTC, "a first snapshot of the book")

    await maker.set_leverage(5, BTC, {"marginMode": "cross"})
    # Place.
    cloid = "0x" + "c1".rjust(32, "0")
    order = await maker.create_order(BTC, "limit", "buy", 0.01, price, {"postOnly": True, "clientOrderId": cloid})
    check("resting" in order["info"] and order["id"] == str(order["info"]["resting"]["oid"]), "the order rests", order)
    (working,) = await maker.fetch_open_orders(BTC)
    check((working["id"], working["price"], working["amount"], working["side"]) == (order["id"], price, 0.01, "buy"), "as it was sent", working)
    check(working["clientOrderId"] == cloid, "under its client id", working)
    check((await updates)["id"] == order["id"], "the stream told the same order")
    book = await watched(lambda: book_rows(maker), "the order in the book", lambda row: near(row[0], price) and near(row[1], 0.01))

    # Modify.
    edited = await maker.edit_order(order["id"], BTC, "limit", "buy", 0.02, price + 10, {"postOnly": True})
    check(edited["id"] != order["id"], "a modified order has a new id", edited)
    (working,) = await maker.fetch_open_orders(BTC)
    check((working["id"], working["price"], working["amount"]) == (edited["id"], price + 10, 0.02), "and the new terms", working)
    check((await maker.fetch_order(order["id"], BTC))["status"] == "canceled", "the old one is canceled")

    # Cancel.
    gone = asyncio.create_task(
        watched(lambda: maker.watch_orders(BTC), "it canceled", lambda row: row["id"] == edited["id"] and row["status"] == "canceled")
    )
    await maker.cancel_order(edited["id"], BTC)
    await gone
    check(await maker.fetch_open_orders(BTC) == [], "nothing is left open")
    await refused(maker.cancel_order(edited["id"], BTC), ccxt.OrderNotFound, "Order was never placed, already canceled, or filled.")
    await refused(maker.create_order(BTC, "limit", "buy", 0.0001, price), ccxt.InvalidOrder, "Order must have minimum value of $10.")

    # Get filled, and read it everywhere.
    resting = await maker.create_order(BTC, "limit", "buy", 0.02, price, {"postOnly": True})
    mine = asyncio.create_task(watched(lambda: maker.watch_my_trades(BTC), "the maker's fill", lambda row: row["order"] == resting["id"]))
    await asyncio.sleep(0)
    taken = await taker.create_order(BTC, "limit", "sell", 0.015, price - 100, {"timeInForce": "Ioc"})
    check(near(taken["filled"], 0.015) and near(taken["average"], price), "the taker is filled", taken)
    fill = await mine
    check((fill["price"], fill["amount"], fill["side"]) == (price, 0.015, "buy"), "at the maker's price", fill)
    (ours,) = await maker.fetch_my_trades(BTC)
    check(ours["id"] == fill["id"] and ours["takerOrMaker"] == "maker", "and told again when asked", ours)
    check(abs(fill["fee"]["cost"] - price * 0.015 * 0.00015) < 1e-5, "at 1.5 bp", fill["fee"])
    (theirs,) = await taker.fetch_my_trades(BTC)
    check(theirs["id"] == fill["id"] and theirs["takerOrMaker"] == "taker", "both share the trade's id", theirs)
    for exchange, side, size in ((maker, "long", 0.015), (taker, "short", 0.015)):
        (held,) = await exchange.fetch_positions([BTC])
        check((held["side"], held["contracts"], held["entryPrice"]) == (side, size, price), "the position is booked", held)
    (working,) = await maker.fetch_open_orders(BTC)
    check(near(working["remaining"], 0.005), "the rest still works", working)

    # Flat again, by a market order with a reduce-only flag against a reduce-only order.
    await maker.create_order(BTC, "limit", "sell", 0.015, price + 100, {"postOnly": True, "reduceOnly": True})
    await taker.create_order(BTC, "market", "buy", 0.015, price + 100, {"reduceOnly": True})
    await maker.cancel_order(resting["id"], BTC)
    for exchange in (maker, taker):
        check(await exchange.fetch_positions([BTC]) == [], "flat again")

    # A market with a life of its own.
    mid = (await taker.fetch_ticker(ETH))["last"]
    bought = await taker.create_order(ETH, "market", "buy", 0.5, mid)
    check(near(bought["filled"], 0.5), "a market order fills", bought)
    await taker.create_order(ETH, "market", "sell", 0.5, mid, {"reduceOnly": True})
    check(await taker.fetch_positions([ETH]) == [], "and closes")
    await watched(lambda: taker.watch_trades(ETH), "the public tape", lambda row: row["symbol"] == ETH and row["amount"] > 0)
    rate = await maker.fetch_funding_rate(BTC) if maker.has["fetchFundingRate"] is True else (await maker.fetch_funding_rates([BTC]))[BTC]
    check(abs(rate["fundingRate"]) < 0.04, "funding is within the venue's cap", rate)


async def book_rows(exchange):
    return (await exchange.watch_order_book(BTC))["bids"]


async def main():
    maker = client("0x" + "33" * 32, "0x5CbDd86a2FA8Dc4bDdd8a8f69dBa48572EeC07FB")
    taker = client("0x" + "44" * 32, "0x7564105E977516C53bE337314c7E53838967bDaC")
    try:
        await trade(maker, taker)
    finally:
        await maker.close()
        await taker.close()
    print(f"ok ccxt_client: {checks} checks", flush=True)


asyncio.run(main())
