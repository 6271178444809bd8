// What a wallet's transfers did, by clients that we did not write: viem reads the chain, @nktkas/hyperliquid the venue. Prints one
// line of JSON. Arguments: venue, chain, token, bridge, account.

import * as hl from "@nktkas/hyperliquid";
import { createPublicClient, formatUnits, http, parseAbi } from "viem";

const [venueUrl, chainUrl, token, bridge, account] = process.argv.slice(2);
const abi = parseAbi([
  "event Transfer(address indexed from, address indexed to, uint256 value)",
  "function balanceOf(address) view returns (uint256)",
  "function decimals() view returns (uint8)",
]);

process.on("unhandledRejection", (error) => {
  console.error("treasury:", error);
  process.exit(1);
});

const chain = createPublicClient({ transport: http(chainUrl) });
const decimals = await chain.readContract({ address: token, abi, functionName: "decimals" });
const usd = (units) => formatUnits(units, decimals);
const balance = async (who) => usd(await chain.readContract({ address: token, abi, functionName: "balanceOf", args: [who] }));
const logs = await chain.getContractEvents({ address: token, abi, eventName: "Transfer", args: { from: account }, fromBlock: 0n, strict: true });
// every transaction of the wallet, found by its nonces and not by our journal
const nonce = await chain.getTransactionCount({ address: account });
const gas = await Promise.all(
  logs.map(async (log) => {
    const receipt = await chain.getTransactionReceipt({ hash: log.transactionHash });
    return receipt.gasUsed * receipt.effectiveGasPrice;
  }),
);

const info = new hl.InfoClient({ transport: new hl.HttpTransport({ apiUrl: venueUrl }) });
const [ledger, perp, spot] = await Promise.all([
  info.userNonFundingLedgerUpdates({ user: account, startTime: 0 }),
  info.clearinghouseState({ user: account }),
  info.spotClearinghouseState({ user: account }),
]);

console.log(
  JSON.stringify({
    chain: {
      wallet: await balance(account),
      bridge: await balance(bridge),
      nonce,
      moved: logs.map(({ args, transactionHash }, n) => ({
        to: args.to.toLowerCase(),
        usd: usd(args.value),
        hash: transactionHash,
        gas: String(gas[n]),
      })),
    },
    venue: {
      ledger: ledger.map(({ delta, hash }) => ({ ...delta, hash })),
      perp: perp.marginSummary.accountValue,
      spot: spot.balances.find(({ coin }) => coin === "USDC")?.total ?? "0",
    },
  }),
);
