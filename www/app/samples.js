/**
 * Pictures shipped with the page, in `samples/` beside `index.html`.
 * @type {ReadonlyArray<{file: string, label: string}>}
 */
export const samples = [
  { file: "dandelion.jpg", label: "A dandelion in the evening sun" },
  { file: "cat.jpg", label: "A cat" },
  { file: "coffee.jpg", label: "A cup of coffee" },
  { file: "astronaut.jpg", label: "An astronaut" },
  { file: "photographer.jpg", label: "A photographer" },
  { file: "rocket.jpg", label: "A rocket" },
];
