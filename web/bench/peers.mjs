// Models to compare: each peer loads a model and returns a function from texts to labels.

/** Peers by name; `load` takes the address of the model and a number of threads. */
export const PEERS = {
  evenmood: async (model, threads, runtime) => {
    const { EmotionClassifier } = await import("evenmood");
    const ort = await import(runtime ?? "onnxruntime-web/wasm");
    if (!runtime) ort.env.wasm.numThreads = threads;
    const classifier = await EmotionClassifier.fromPretrained(model, { runtime: ort });
    return async (texts) => (await classifier.predict(texts)).map((prediction) => prediction.labels);
  },
  "transformers.js": async (model, threads, runtime) => {
    const { pipeline, env } = await import("@huggingface/transformers");
    env.allowRemoteModels = false;
    env.allowLocalModels = true;
    env.localModelPath = new URL("..", runtime ? `file://${model}` : model).pathname;
    env.useBrowserCache = false;
    if (!runtime) {
      env.backends.onnx.wasm.numThreads = threads;
      env.backends.onnx.wasm.wasmPaths = new URL("node_modules/onnxruntime-web/dist/", import.meta.url).href;
    }
    const classify = await pipeline("text-classification", model.split("/").at(-2), {
      dtype: "q8",
      device: runtime ? "cpu" : "wasm",
    });
    return async (texts) => {
      const labels = [];
      for (let start = 0; start < texts.length; start += 32) {
        const rows = await classify(texts.slice(start, start + 32), { top_k: null });
        labels.push(...rows.map((scores) => scores.filter(({ score }) => score >= 0.5).map((score) => score.label)));
      }
      return labels;
    };
  },
};

/**
 * Time a peer.
 *
 * @returns Milliseconds until the first prediction, for each single text, and for the whole batch.
 */
export async function time(peer, model, threads, singleTexts, batchTexts, runtime) {
  const began = performance.now();
  const classify = await PEERS[peer](model, threads, runtime);
  await classify(singleTexts.slice(0, 1));
  const start = performance.now() - began;
  const each = [];
  for (const text of singleTexts) {
    const before = performance.now();
    await classify([text]);
    each.push(performance.now() - before);
  }
  const before = performance.now();
  await classify(batchTexts);
  return { start, each, together: performance.now() - before };
}
