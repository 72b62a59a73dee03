/// <reference lib="webworker" />
// Offline support: all files are cached once, and served from the cache.
declare const self: ServiceWorkerGlobalScope;
/** Name of the cache, which changes with the content, and the files in it; filled in by the build. */
declare const VERSION: string;
declare const PAGE_FILES: readonly string[];
declare const MODEL_FILES: readonly string[];
const CACHE = `evenmood-${VERSION}`;

self.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(requests()))
      .then(() => self.skipWaiting()),
  );
});

/** The current page; the model as the page has just downloaded it. */
function requests(): Request[] {
  return [
    ...PAGE_FILES.map((name) => new Request(name, { cache: "no-cache" })),
    ...MODEL_FILES.map((name) => new Request(name, { cache: "force-cache" })),
  ];
}

self.addEventListener("activate", (event) => {
  event.waitUntil(
    caches
      .keys()
      .then((names) => names.filter((name) => name.startsWith("evenmood-") && name !== CACHE))
      .then((old) => Promise.all(old.map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  event.respondWith(
    caches
      .open(CACHE)
      .then((cache) => cache.match(event.request, { ignoreSearch: event.request.mode === "navigate" }))
      .then((cached) => cached ?? fetch(event.request)),
  );
});
