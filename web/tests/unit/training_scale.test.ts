// Where the numbers of a training run land on a drawing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { linearScale, nearest, path, smoothed, ticks } from "../../src/training/scale";

test("ticks are round numbers within the range", () => {
  assert.deepEqual(ticks(0, 10, 5), [0, 2, 4, 6, 8, 10]);
  assert.deepEqual(ticks(1.63, 4.2, 4), [2, 3, 4]);
  assert.deepEqual(ticks(-0.3, 0.25, 5), [-0.2, 0, 0.2]);
  assert.deepEqual(ticks(3, 3, 5), [3]);
});

test("a scale goes there and back, and keeps what lies beyond it at its edge", () => {
  const scale = linearScale([0, 200], [50, 550]);
  assert.equal(scale.at(100), 300);
  assert.equal(scale.invert(300), 100);
  assert.equal(scale.at(900), 550);
  assert.ok(Number.isFinite(linearScale([2, 2], [0, 1]).at(2)));
});

test("a curve is one path", () => {
  const unit = linearScale([0, 1], [0, 10]);
  assert.equal(path([0, 0.5, 1], [0, 1, 0], unit, unit), "M0.0 0.0L5.0 10.0L10.0 0.0");
  assert.equal(path([], [], unit, unit), "");
});

test("smoothing begins with the first value and forgets", () => {
  assert.deepEqual(smoothed([4]), [4]);
  const found = smoothed([4, 2], 0.5);
  assert.ok(Math.abs(found[1]! - (0.25 * 4 + 0.5 * 2) / 0.75) < 1e-12);
});

test("the nearest step is found", () => {
  assert.equal(nearest([1, 5, 9], 6), 1);
  assert.equal(nearest([1, 5, 9], 8), 2);
  assert.equal(nearest([1, 5, 9], -3), 0);
  assert.equal(nearest([1, 5, 9], 70), 2);
  assert.equal(nearest([], 1), -1);
});
