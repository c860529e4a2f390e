/**
 * The page's elements by their ids.
 */

/**
 * An element that index.html has. A wrong id is a mistake of ours and should be loud.
 * @template {HTMLElement} [Kind=any]
 * @param {string} id
 * @param {new () => Kind} [kind] the class that it has, for those who want it checked
 * @returns {Kind}
 */
export function $(id, kind) {
  const found = document.getElementById(id);
  if (!found || (kind && !(found instanceof kind))) throw new Error(`The page has no ${kind?.name ?? "element"} #${id}.`);
  return /** @type {Kind} */ (found);
}
