// Time a peer in Node, and print the results as JSON: node web/bench/node.mjs PEER MODEL < texts
import { readFileSync } from "node:fs";
import { time } from "./peers.mjs";

const [peer, model] = process.argv.slice(2);
const { alone: singleTexts, together: batchTexts } = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(await time(peer, model, 1, singleTexts, batchTexts, "onnxruntime-node")));
