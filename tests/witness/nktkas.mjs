// @nktkas/hyperliquid (TypeScript), unmodified, trades on the paper venue whose address is the first argument: one account over
// HTTP, the other through the WebSocket alone. Exits non-zero at the first thing that is not as the real venue would have it.

import * as hl from "@nktkas/hyperliquid";
import { privateKeyToAccount } from "viem/accounts";
import WebSocket from "ws";

globalThis.WebSocket ??= WebSocket;

const url = process.argv[2];
const waitMs = 30_000;
let checks = 0;

function check(holds, what, ...seen) {
  if (!holds) {
    console.error(`nktkas: ${what}: ${JSON.stringify(seen)}`);
    process.exit(1);
  }
  checks += 1;
}

process.on("unhandledRejection", (error) => {
  console.error("nktkas:", error);
  process.exit(1);
});

/** Everything a subscription has delivered, and a wait for more with an end. */
class Stream {
  messages = [];
  waiting = [];

  push(message) {
    this.messages.push(message);
    this.waiting = this.waiting.filter((look) => !look(message));
  }

  wait(what, wanted) {
    return new Promise((resolve) => {
      const timer = setTimeout(() => check(false, `stream never showed ${what}`, this.messages.slice(-3)), waitMs);
      const look = (message) => {
        const found = wanted(message);
        if (!found) return false;
        clearTimeout(timer);
        check(true, what);
        resolve(found);
        return true;
      };
      if (!this.messages.some(look)) this.waiting.push(look);
    });
  }
}

async function refused(promise, text) {
  const error = await promise.then(
    (answer) => check(false, `should be refused with ${text}`, answer),
    (error) => error,
  );
  check(String(error.message ?? error).includes(text), `refused with ${text}`, String(error));
}

const same = (a, b) => Math.abs(Number(a) - Number(b)) < 1e-9;
const http = new hl.HttpTransport({ apiUrl: url });
const socket = new hl.WebSocketTransport({ url: `${url.replace("http", "ws")}/ws` });
const makerKey = privateKeyToAccount(`0x${"55".repeat(32)}`);
const takerKey = privateKeyToAccount(`0x${"66".repeat(32)}`);
const info = new hl.InfoClient({ transport: http });
const infoWs = new hl.InfoClient({ transport: socket });
const maker = new hl.ExchangeClient({ transport: http, wallet: makerKey });
const taker = new hl.ExchangeClient({ transport: socket, wallet: takerKey });
const streams = new hl.SubscriptionClient({ transport: socket });
const user = makerKey.address;

const meta = await info.meta();
check(meta.universe[0].name === "BTC" && meta.universe[0].szDecimals === 5, "BTC is asset 0", meta.universe[0]);
check(JSON.stringify(await infoWs.meta()) === JSON.stringify(meta), "the same over the socket");
const [, contexts] = await info.metaAndAssetCtxs();
const price = Math.floor(Number(contexts[0].oraclePx) * 0.96);
const before = await info.clearinghouseState({ user });
check(before.assetPositions.length === 0 && same(before.marginSummary.accountValue, 100_000), "a new account has its paper money", before);

const [books, trades, orders, events, fills] = Array.from({ length: 5 }, () => new Stream());
await streams.l2Book({ coin: "BTC" }, (data) => books.push(data));
await streams.trades({ coin: "BTC" }, (data) => trades.push(data));
await streams.orderUpdates({ user }, (data) => orders.push(data));
await streams.userEvents({ user }, (data) => events.push(data));
await streams.userFills({ user }, (data) => fills.push(data));
await books.wait("a first snapshot of the book", (data) => data.coin === "BTC");
await fills.wait("the snapshot of past fills", (data) => data.isSnapshot && data.fills.length === 0);
const update = (oid, status) => (rows) => rows.find((row) => row.order.oid === oid && row.status === status);

const leverage = await maker.updateLeverage({ asset: 0, isCross: true, leverage: 5 });
check(leverage.status === "ok", "leverage is set", leverage);

// Place.
const limit = (side, px, size, tif, more = {}) => ({ a: 0, b: side, p: String(px), s: String(size), r: false, t: { limit: { tif } }, ...more });
const place = async (client, order) => {
  const answer = await client.order({ orders: [order], grouping: "na" });
  check(answer.response.data.statuses.length === 1, "one status for one order", answer);
  return answer.response.data.statuses[0];
};
// High digits: this client reads a client id that fits a safe integer as an order id.
const cloid = `0x${"a".repeat(32)}`;
const oid = (await place(maker, limit(true, price, 0.01, "Alo", { c: cloid }))).resting.oid;
const [open] = await info.openOrders({ user });
check(open.oid === oid && open.cloid === cloid && same(open.limitPx, price) && same(open.sz, 0.01) && open.side === "B", "as it was sent", open);
const named = await infoWs.orderStatus({ user, oid: cloid });
check(named.status === "order" && named.order.order.oid === oid && named.order.status === "open", "found by its client id", named);
await orders.wait("the order open", update(oid, "open"));
await books.wait("the order in the book", (data) => data.levels[0].some((level) => same(level.px, price) && same(level.sz, 0.01)));

// Modify: by batch, which tells the new id, and singly, which does not.
const batch = await maker.batchModify({ modifies: [{ oid, order: limit(true, price + 10, 0.02, "Alo", { c: cloid }) }] });
const second = batch.response.data.statuses[0].resting.oid;
check(second !== oid, "a modified order has a new id", batch);
await orders.wait("the old order canceled", update(oid, "canceled"));
await maker.modify({ oid: second, order: limit(true, price + 20, 0.03, "Alo", { c: cloid }) });
const [changed, ...others] = await info.openOrders({ user });
check(others.length === 0 && changed.oid !== second && same(changed.limitPx, price + 20) && same(changed.sz, 0.03), "and the new terms", changed);

// Cancel, by either name.
const canceled = await maker.cancel({ cancels: [{ a: 0, o: changed.oid }] });
check(canceled.response.data.statuses[0] === "success", "canceled", canceled);
await orders.wait("it canceled", update(changed.oid, "canceled"));
await refused(maker.cancel({ cancels: [{ a: 0, o: changed.oid }] }), "Order was never placed, already canceled, or filled.");
const other = `0x${"b".repeat(32)}`;
await place(maker, limit(true, price, 0.01, "Gtc", { c: other }));
const byName = await maker.cancelByCloid({ cancels: [{ asset: 0, cloid: other }] });
check(byName.response.data.statuses[0] === "success", "canceled by client id", byName);
check((await info.openOrders({ user })).length === 0, "nothing is left open");
await refused(place(maker, limit(true, price, 0.0001, "Gtc")), "Order must have minimum value of $10.");

// Get filled: the maker rests over HTTP, the taker comes through the socket.
const resting = (await place(maker, limit(true, price, 0.02, "Alo"))).resting.oid;
const taken = (await place(taker, limit(false, price - 100, 0.015, "Ioc"))).filled;
check(same(taken.totalSz, 0.015) && same(taken.avgPx, price), "filled at the resting price", taken);
const fill = await fills.wait("the maker's fill", (data) => data.fills.find((row) => row.oid === resting));
check(same(fill.px, price) && same(fill.sz, 0.015) && fill.side === "B" && fill.crossed === false && fill.dir === "Open Long", "as the maker", fill);
await events.wait("the same fill as an event", (data) => data.fills?.some((row) => row.tid === fill.tid));
await trades.wait("the trade", (rows) => rows.some((row) => row.tid === fill.tid && row.side === "A"));
const [theirs] = await info.userFills({ user: takerKey.address });
check(theirs.tid === fill.tid && theirs.crossed === true && Number(theirs.fee) > Number(fill.fee), "both share the trade's id", theirs);

// Positions.
for (const [account, size] of [[user, 0.015], [takerKey.address, -0.015]]) {
  const state = await infoWs.clearinghouseState({ user: account });
  const held = state.assetPositions[0]?.position;
  check(held?.coin === "BTC" && same(held.szi, size) && same(held.entryPx, price), "the position is booked", state.assetPositions);
}

// Flat again.
await place(maker, limit(false, price + 100, 0.05, "Alo", { r: true }));
const closed = (await place(taker, limit(true, price + 200, 0.015, "Ioc", { r: true }))).filled;
check(same(closed.totalSz, 0.015) && same(closed.avgPx, price + 100), "the taker closes", closed);
await maker.cancel({ cancels: [{ a: 0, o: resting }] });
for (const account of [user, takerKey.address]) {
  check((await info.clearinghouseState({ user: account })).assetPositions.length === 0, "flat again");
}
check((await info.frontendOpenOrders({ user })).length === 0, "and nothing open");

console.log(`ok nktkas: ${checks} checks`);
process.exit(0);
