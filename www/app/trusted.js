/**
 * The only way to start a script: from the page's own origin. The policy of the page (Trusted Types)
 * has the browser refuse every other address, and every text that would become markup.
 */

// Not in all browsers, and not in the compiler's library.
const { trustedTypes } = /** @type {any} */ (globalThis);
const policy = trustedTypes?.createPolicy("songwriter", {
  /** @param {string} address */
  createScriptURL(address) {
    if (new URL(address, location.href).origin !== location.origin) throw new TypeError(`${address} is not ours`);
    return address;
  },
});

/**
 * @param {URL} url of a script
 * @returns {any} what `Worker` and service workers take
 */
export const scriptAddress = (url) => policy?.createScriptURL(url.href) ?? url;
