/**
 * Gets hold of the graphics card that the Rust side opens, to hear when it goes away: a driver that
 * crashed, a laptop that changed cards, memory that ran out. The Rust side would wait for ever then,
 * or panic.
 */
import { Failure } from "./failure.js";

/** @param {(failure: Failure) => void} onLoss may be told more than once */
export function watchGpu(onLoss) {
  if (!("GPUAdapter" in self)) return;
  const { requestDevice } = GPUAdapter.prototype;
  /** @this {GPUAdapter} @param {GPUDeviceDescriptor} [descriptor] */
  GPUAdapter.prototype.requestDevice = async function (descriptor) {
    const device = await requestDevice.call(this, descriptor);
    device.lost.then(({ message }) => onLoss(new Failure("device-lost", `The graphics card was lost. ${message}`)));
    device.addEventListener("uncapturederror", ({ error }) => {
      if (!(error instanceof GPUOutOfMemoryError)) return;
      onLoss(new Failure("out-of-memory", `The graphics card's memory is full. ${error.message}`));
    });
    return device;
  };
}
