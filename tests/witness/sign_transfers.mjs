// @nktkas/hyperliquid, unmodified, signs the transfers in the file that is the first argument: one line of JSON for each, the body that it
// would have posted. Nothing is sent.

import { readFileSync } from "node:fs";
import * as hl from "@nktkas/hyperliquid";
import { privateKeyToAccount } from "viem/accounts";

const told = JSON.parse(readFileSync(process.argv[2], "utf8"));
const assetOf = (coin) => told.markets.meta.universe.findIndex((market) => market.name === coin);

for (const { call, arguments: a, key, mainnet, nonce, expires } of told.cases) {
  let kept;
  const transport = {
    isTestnet: !mainnet,
    request: async (_endpoint, payload) => {
      kept = payload;
      return { status: "ok", response: { type: "default" } };
    },
  };
  const wallet = privateKeyToAccount(key);
  const client = new hl.ExchangeClient({ transport, wallet, signatureChainId: "0x66eee", nonceManager: () => nonce });
  const options = expires === null ? {} : { expiresAfter: expires };
  const calls = {
    class_transfer: () =>
      client.usdClassTransfer({ amount: a.sub ? `${a.amount} subaccount:${a.sub}` : a.amount, toPerp: a.to_perp }),
    sub_account_transfer: () =>
      client.subAccountTransfer({ subAccountUser: a.sub, isDeposit: a.deposit, usd: a.micros }, options),
    isolated_margin: () =>
      client.updateIsolatedMargin({ asset: assetOf(a.coin), isBuy: true, ntli: Math.round(Number(a.amount) * 1e6) }, options),
    top_up: () => client.topUpIsolatedOnlyMargin({ asset: a.asset, leverage: a.leverage }, options),
    withdraw: () => client.withdraw3({ amount: a.amount, destination: a.destination }),
  };
  await calls[call]();
  console.log(JSON.stringify(kept));
}
