/**
 * When the visitor has something to look at.
 */

/** How long to wait for the first paint at most, in milliseconds. */
const LIMIT = 1_500;

/** Resolves after the first paint: what is heavy can wait that long. @returns {Promise<void>} */
export function firstPaint() {
  return new Promise((resolve) => {
    // What is hidden is not painted.
    if (document.hidden || !PerformanceObserver.supportedEntryTypes?.includes("paint")) return resolve();
    setTimeout(resolve, LIMIT);
    new PerformanceObserver((_, observer) => {
      observer.disconnect();
      resolve();
    }).observe({ type: "paint", buffered: true });
  });
}
