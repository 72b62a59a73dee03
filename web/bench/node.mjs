// node web/bench/node.mjs PEER MODEL < texts: the timing of a peer in Node, as JSON.
import { readFileSync } from "node:fs";
import { time } from "./peers.mjs";

const [peer, model] = process.argv.slice(2);
const { alone, together } = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(await time(peer, model, 1, alone, together, "onnxruntime-node")));
