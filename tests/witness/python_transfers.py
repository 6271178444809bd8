"""The official Python SDK, unmodified, moves money on the paper venue whose address is the first argument.

There the account of FUNDS has traded, so that it may have sub-accounts; it has one, an agent, and positions in two markets that are
margined in isolation. Exits non-zero at the first thing that is not as the real venue would have it.
"""

import os
import sys
from decimal import Decimal

import eth_account
from hyperliquid.exchange import Exchange
from hyperliquid.info import Info

URL = sys.argv[1]
FUNDS = eth_account.Account.from_key("0x" + "77" * 32)
AGENT = eth_account.Account.from_key("0x" + "a6" * 32)
COLD = "0x" + "c0" * 20

checks = 0


def check(holds, what, *seen):
    global checks
    if not holds:
        print(f"python_transfers: {what}: {seen}", file=sys.stderr, flush=True)
        os._exit(1)
    checks += 1


info = Info(URL, skip_ws=True)
own = Exchange(FUNDS, URL)
agent = Exchange(AGENT, URL, account_address=FUNDS.address)


# What no price moves: cash less the cost of positions.
def perps(user):
    return Decimal(info.user_state(user)["marginSummary"]["totalRawUsd"])


def spot(user):
    balances = info.spot_user_state(user)["balances"]
    return sum(Decimal(each["total"]) for each in balances if each["coin"] == "USDC")


def margin(coin):
    held = {each["position"]["coin"]: each["position"] for each in info.user_state(FUNDS.address)["assetPositions"]}
    return Decimal(held[coin]["leverage"]["rawUsd"])


def moves(what, answer, changes):
    """Checks that `answer` is the venue's yes, and that exactly these figures changed."""
    check(answer == {"status": "ok", "response": {"type": "default"}}, what, answer)
    for figure, before, change in changes:
        check(figure() - before == Decimal(change), f"{what}: {change}", figure(), before)


def refused(what, answer, text):
    check(answer["status"] == "err" and answer["response"].startswith(text), what, answer)


(first,) = info.query_sub_accounts(FUNDS.address)
check(first["master"].lower() == FUNDS.address.lower() and first["name"] == "plimsoll", "its sub-account is listed", first)
created = own.create_sub_account("second")
check(created["status"] == "ok" and created["response"]["type"] == "createSubAccount", "another is made", created)
SUB = created["response"]["data"]
check(len(info.query_sub_accounts(FUNDS.address)) == 2, "and listed")
check(info.user_role(SUB) == {"role": "subAccount", "data": {"master": FUNDS.address.lower()}}, "as what it is", info.user_role(SUB))
check(perps(SUB) == 0, "with nothing in it")
refused("a name that is too long", own.create_sub_account("a name that is too long"), "Invalid sub-account name")


value = perps(FUNDS.address)
moves("perps to spot", own.usd_class_transfer(500.25, False), [
    (lambda: perps(FUNDS.address), value, "-500.25"), (lambda: spot(FUNDS.address), 0, "500.25"),
])
moves("spot to perps", own.usd_class_transfer(200, True), [
    (lambda: perps(FUNDS.address), value, "-300.25"), (lambda: spot(FUNDS.address), 0, "300.25"),
])
refused("more than is there", own.usd_class_transfer(301, True), "Insufficient balance for token transfer")

value = perps(FUNDS.address)
moves("into the sub-account", own.sub_account_transfer(SUB, True, 40_000_001), [
    (lambda: perps(FUNDS.address), value, "-40.000001"), (lambda: perps(SUB), 0, "40.000001"),
])
moves("out of it, by the agent", agent.sub_account_transfer(SUB, False, 10_000_000), [
    (lambda: perps(FUNDS.address), value, "-30.000001"), (lambda: perps(SUB), 0, "30.000001"),
])
refused("more than it has", agent.sub_account_transfer(SUB, False, 31_000_000), "Insufficient balance for withdrawal")
refused("not a sub-account", own.sub_account_transfer(COLD, True, 1_000_000), "Invalid sub-account transfer from")
of_sub = Exchange(FUNDS, URL, vault_address=SUB)
moves("within the sub-account", of_sub.usd_class_transfer(7.5, False), [
    (lambda: perps(SUB), Decimal("30.000001"), "-7.5"), (lambda: spot(SUB), 0, "7.5"),
])

for coin in ("PURR", "PEOPLE"):
    before, value = margin(coin), perps(FUNDS.address)
    moves(f"margin of {coin}", agent.update_isolated_margin(3.5, coin), [
        (lambda: margin(coin), before, "3.5"), (lambda: perps(FUNDS.address), value, "0"),
    ])
moves("and out again", agent.update_isolated_margin(-1, "PURR"), [])
refused("where it stays", agent.update_isolated_margin(-1, "PEOPLE"), "Cannot remove isolated margin for this asset")
refused("no position", agent.update_isolated_margin(1, "SOL"), "Cannot update margin for empty position")

value = perps(FUNDS.address)
moves("a withdrawal", own.withdraw_from_bridge(25, COLD), [(lambda: perps(FUNDS.address), value, "-25")])
row = info.user_non_funding_ledger_updates(FUNDS.address, 0)[-1]["delta"]
check((row["type"], Decimal(row["usdc"]), Decimal(row["fee"])) == ("withdraw", 25, 1), "is in the ledger with its fee", row)
must = f"Must deposit before performing actions. User: {AGENT.address.lower()}"
refused("not by the agent", agent.withdraw_from_bridge(25, COLD), must)
refused("nor this", agent.usd_class_transfer(1, False), must)
check(perps(FUNDS.address) == value - 25, "nothing else moved")

print(f"ok python_transfers: {checks} checks", flush=True)
