/**
 * Everything that the page downloads, under one count of bytes.
 */

const MODELS = ["captioner", "lyricist"];

/**
 * @param {URL} url
 * @param {RequestCache} cache
 */
async function get(url, cache) {
  const name = url.pathname.split("/").slice(-2).join("/");
  let response;
  try {
    response = await fetch(url, { cache });
  } catch {
    throw new Error(`${name} could not be downloaded. Check the connection and try again.`);
  }
  if (!response.ok) {
    throw new Error(`${name} could not be downloaded (the server answered ${response.status}). Try again later.`);
  }
  return response;
}

/**
 * Fetches the models' files and the compiled Rust.
 *
 * @param {{code: URL, models: URL, fresh: boolean}} where
 * @param {(loaded: number, total: number) => void} onProgress
 * @returns {Promise<{wasm: Response, models: Promise<Record<string, Record<string, Uint8Array>>>}>}
 *   `wasm` while it still arrives, so that the browser compiles it in step; file contents by model
 *   and name.
 */
export async function download({ code, models, fresh }, onProgress) {
  // A manifest says which files belong together, so it must be current. The rest may come from
  // the cache: the code's folder is named after its content, and the digest in the address of a
  // model's file does the same for that.
  const current = fresh ? "reload" : "no-cache";
  const cached = fresh ? "reload" : "default";
  const [build, ...manifests] = await Promise.all([
    get(new URL("build.json", code), cached).then((response) => response.json()),
    ...MODELS.map(async (name) => {
      const response = await get(new URL(`${name}/manifest.json`, models), current);
      const bytes = new Uint8Array(await response.arrayBuffer());
      try {
        return { name, bytes, files: JSON.parse(new TextDecoder().decode(bytes)).files };
      } catch {
        throw new Error(`The list of files of the model ${name} can't be read. Reload the page to fetch it again.`);
      }
    }),
  ]);

  let total = build.wasm_bytes;
  for (const { files } of manifests) for (const file of files) total += file.bytes;
  let loaded = 0;
  let told = 0;
  const count = (bytes) => {
    loaded += bytes;
    const now = performance.now();
    if (now - told < 50 && loaded < total) return;
    told = now;
    onProgress(Math.min(loaded, total), total);
  };
  onProgress(0, total);

  /** @param {Response} response @returns {ReadableStream<Uint8Array>} its body, counted in passing */
  const counted = (response) => {
    const reader = response.body.getReader();
    return new ReadableStream({
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) return controller.close();
        count(value.byteLength);
        controller.enqueue(value);
      },
    });
  };
  const fetchFile = async (name, file) => {
    const url = new URL(`${name}/${file.path}?sha256=${file.sha256.slice(0, 16)}`, models);
    const response = await get(url, cached);
    try {
      return new Uint8Array(await new Response(counted(response)).arrayBuffer());
    } catch {
      throw new Error(`The download of ${name}/${file.path} broke off. Check the connection and try again.`);
    }
  };
  const fetchModel = async ({ name, bytes, files }) => {
    const contents = await Promise.all(files.map(async (file) => [file.path, await fetchFile(name, file)]));
    return [name, { "manifest.json": bytes, ...Object.fromEntries(contents) }];
  };

  const arriving = Promise.all(manifests.map(fetchModel)).then(Object.fromEntries);
  // Whoever fails first is reported; the other's failure must not show up as unhandled.
  arriving.catch(() => {});
  const packed = await get(new URL("neural-songwriter_bg.wasm.gzip", code), cached);
  const wasm = counted(packed).pipeThrough(new DecompressionStream("gzip"));
  return {
    // Compilation in step with the download insists on the type.
    wasm: new Response(wasm, { headers: { "content-type": "application/wasm" } }),
    models: arriving,
  };
}
