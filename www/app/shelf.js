/**
 * Where kept songs lie: a small database of the browser, on this device only.
 *
 * @typedef {import("./record.js").SongRecord} SongRecord
 * @typedef {import("./thumbnail.js").Thumbnail} Thumbnail
 * @typedef {{id: string, kept: number, record: SongRecord, picture: Thumbnail | null}} Entry
 *   `kept` is when, in milliseconds since 1970
 */
import { fragment } from "./permalink.js";

/** Most songs on the shelf. */
export const MOST_SONGS = 500;

const NAME = "neural-songwriter";
const STORE = "songs";

/** A song is the same if its text and all that it was written with are. @param {SongRecord} record */
export function identity(record) {
  return `${fragment(record)}\n${record.text}`;
}

/** @param {SongRecord} record @param {Thumbnail | null} picture @param {number} [kept] @returns {Entry} */
export function entry(record, picture, kept = Date.now()) {
  return { id: identity(record), kept, record, picture };
}

/** @returns {Promise<IDBDatabase>} */
function open() {
  return new Promise((resolve, reject) => {
    // Throws, or is missing altogether, where the browser is told to keep nothing.
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(STORE, { keyPath: "id" }).createIndex("kept", "kept");
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("blocked"));
  });
}

/** @param {unknown} error @returns {Error} */
function asSentence(error) {
  if (error instanceof DOMException && error.name === "QuotaExceededError") {
    return new Error("There is no room left for songs in this browser. Delete some kept ones, or save this one as a file.");
  }
  return new Error(
    "This browser keeps no songs here, as in a private window. Save the song as a picture card or a text instead.",
  );
}

/**
 * One transaction: all of it happens or nothing.
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T> | void} work
 * @returns {Promise<T>} what the request gave, once all is written
 */
async function transact(mode, work) {
  let database;
  try {
    database = await open();
    const transaction = database.transaction(STORE, mode);
    const request = work(transaction.objectStore(STORE));
    await new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    return /** @type {T} */ (request?.result);
  } catch (error) {
    throw asSentence(error);
  } finally {
    // A connection that stays open would stand in the way of other tabs.
    database?.close();
  }
}

export const shelf = {
  /** @returns {Promise<number>} */
  count: () => transact("readonly", (store) => store.count()),

  /** Whether a song is kept. @param {string} id */
  has: async (id) => (await transact("readonly", (store) => store.count(id))) > 0,

  /** @returns {Promise<Entry[]>} the newest first */
  async all() {
    const entries = await transact("readonly", (store) => store.index("kept").getAll());
    return entries.reverse();
  },

  /**
   * Keeps songs; those that are kept already stay as they are.
   * @param {Entry[]} entries
   * @returns {Promise<number>} how many were new
   */
  async add(entries) {
    const known = new Set(await transact("readonly", (store) => store.getAllKeys()));
    const fresh = [...new Map(entries.map((one) => [one.id, one])).values()].filter(({ id }) => !known.has(id));
    if (known.size + fresh.length > MOST_SONGS) {
      throw new Error(`The shelf holds ${MOST_SONGS} songs and has no room for ${fresh.length} more. Delete some first.`);
    }
    await transact("readwrite", (store) => fresh.forEach((one) => store.put(one)));
    return fresh.length;
  },

  /** @param {string} id */
  remove: (id) => transact("readwrite", (store) => store.delete(id)),

  clear: () => transact("readwrite", (store) => store.clear()),
};
