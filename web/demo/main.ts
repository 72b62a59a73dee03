import { EmotionClassifier, type ModelFile, type ModelFiles } from "evenmood";
import * as ort from "onnxruntime-web/wasm";
import phrases from "./self_harm.json";
import { element, show } from "./view.js";

const EXAMPLES = [
  "Thank you so much, you really made my day!",
  "I can't believe they cancelled it again. So annoying 😤",
  "I'm nervous about tomorrow, but I hope it goes well.",
  "I miss my grandmother every single day.",
  "lol that is the funniest thing I've seen all week",
];
/** Files with their compressed sizes in bytes, for the progress bar; filled in by the build. */
declare const FILES: Readonly<Record<string, number>>;
/** Query string of their URLs, which changes with their content. */
declare const QUERY: string;
/** Predictions faster than this many milliseconds run on every keystroke; slower ones are debounced. */
const QUICK = 50;
const DEBOUNCE = 300;
const SELF_HARM = new RegExp(phrases.pattern, "i");

const input = element("text") as HTMLTextAreaElement;
const progress = element("progress") as HTMLProgressElement;
const loaded: Record<string, number> = {};
const downloads = new AbortController();

async function start(): Promise<void> {
  input.value = input.value.trim();
  for (const example of EXAMPLES) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = example;
    button.addEventListener("click", () => {
      input.value = example;
      input.dispatchEvent(new Event("input"));
    });
    element("examples").append(button);
  }
  const wasm = download("ort.wasm");
  const names: ModelFile[] = ["emotions.json", "tokenizer.json", "model.onnx"];
  const contents = await Promise.all(names.map(download));
  const files = Object.fromEntries(names.map((name, index) => [name, contents[index]])) as unknown as ModelFiles;
  ort.env.wasm.wasmBinary = await wasm;
  ort.env.wasm.numThreads = 1; // a single text is faster on one thread
  const classifier = await EmotionClassifier.fromFiles(files, { runtime: ort });
  progress.hidden = true;
  let took = 0;
  let latest = 0;
  const update = async (): Promise<void> => {
    const number = ++latest;
    const text = input.value.trim();
    const began = performance.now();
    const prediction = await classifier.predict(text);
    const words = await classifier.explain(text);
    if (number !== latest) return;
    element("status").removeAttribute("role");
    took = performance.now() - began;
    const mentionsSelfHarm = SELF_HARM.test(text.replaceAll("’", "'").replace(/\s+/g, " "));
    show({ text, prediction, words, mentionsSelfHarm }, classifier.thresholds);
    const cut = input.value.length < input.maxLength ? "" : ` Texts are truncated at ${input.maxLength} characters.`;
    element("status").textContent = text
      ? `Predicted in ${Math.max(1, Math.round(took))} ms, in this browser.${cut}`
      : "Enter a text.";
  };
  let pending: number | undefined;
  input.addEventListener("input", () => {
    // The model runs on the thread of the page: a long text waits for a pause in the typing.
    clearTimeout(pending);
    pending = setTimeout(
      () => void update().catch((error) => showError("The text cannot be analyzed (…).", error)),
      took < QUICK ? 0 : DEBOUNCE,
    );
  });
  await update();
}

/** Download a file of the page and decompress it. */
async function download(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(`${name}.gz${QUERY}`, { signal: downloads.signal });
  if (!response.ok || !response.body) throw new Error(`${name}: HTTP ${response.status}`);
  const chunks: Uint8Array[] = [];
  const stream = response.body.getReader();
  for (let part = await stream.read(); !part.done; part = await stream.read()) {
    chunks.push(part.value);
    loaded[name] = (loaded[name] ?? 0) + part.value.length;
    report();
  }
  const content = new Blob(chunks as BlobPart[]);
  // Some servers send the file decompressed.
  const magic = new Uint8Array(await content.slice(0, 2).arrayBuffer());
  if (magic[0] !== 0x1f || magic[1] !== 0x8b) return new Uint8Array(await content.arrayBuffer());
  const decompressed = content.stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(decompressed).arrayBuffer());
}

function report(): void {
  if (downloads.signal.aborted) return;
  const total = Object.values(FILES).reduce((sum, size) => sum + size, 0);
  const done = Object.entries(loaded).reduce((sum, [name, size]) => sum + Math.min(size, FILES[name] ?? 0), 0);
  progress.value = done / total;
  element("status").textContent = `Loading the model: ${megabytes(done)} of ${megabytes(total)} MB`;
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1);
}

async function keepOffline(): Promise<void> {
  if (!("serviceWorker" in navigator)) return;
  try {
    await navigator.serviceWorker.register("service_worker.js");
  } catch {
    return; // forbidden in some frames and private windows
  }
  await navigator.serviceWorker.ready;
  element("offline").textContent = "This page now works offline.";
}

function showError(message: string, error: unknown): void {
  const status = element("status");
  status.setAttribute("role", "alert");
  status.textContent = message.replace("…", () => (error as Error).message);
  console.error(error);
}

start().then(keepOffline, (error: unknown) => {
  downloads.abort();
  progress.hidden = true;
  showError("The model cannot be loaded (…); reload the page to try again.", error);
});
