/**
 * Gets hold of the graphics card that the Rust side opens, to hear when it goes away: a driver that
 * crashed, a laptop that changed cards, memory that ran out. The Rust side would wait for ever then,
 * or panic.
 */
import { Failure } from "./failure.js";

let isLost = false;

/** @param {(failure: Failure) => void} onLoss may be told more than once */
export function watchGpu(onLoss) {
  if (!("GPUAdapter" in self)) return;
  /** @param {Failure} failure */
  const lose = (failure) => {
    isLost = true;
    onLoss(failure);
  };
  const { requestDevice } = GPUAdapter.prototype;
  /** @this {GPUAdapter} @param {GPUDeviceDescriptor} [descriptor] */
  GPUAdapter.prototype.requestDevice = async function (descriptor) {
    const device = await requestDevice.call(this, descriptor);
    device.lost.then(({ message }) => lose(new Failure("device-lost", `The graphics card was lost. ${message}`)));
    device.addEventListener("uncapturederror", ({ error }) => {
      if (!(error instanceof GPUOutOfMemoryError)) return;
      lose(new Failure("out-of-memory", `The graphics card's memory is full. ${error.message}`));
    });
    return device;
  };
}

/** Whether the graphics card is lost or will be in a moment. @param {number} limit in milliseconds */
export async function lostWithin(limit) {
  for (const end = performance.now() + limit; !isLost && performance.now() < end; ) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return isLost;
}
