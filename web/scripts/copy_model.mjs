// Copy the bundled model into the package.
import { copyFileSync, mkdirSync } from "node:fs";

const source = new URL("../../evenmood/default_model/", import.meta.url);
const target = new URL("../model/", import.meta.url);
mkdirSync(target, { recursive: true });
for (const file of ["model.onnx", "tokenizer.json", "emotions.json"]) {
  copyFileSync(new URL(file, source), new URL(file, target));
}
copyFileSync(new URL("../../LICENSE", import.meta.url), new URL("../LICENSE", import.meta.url));
