// What the checks of reports on inlined functions call.
#pragma once

template <class T>
__device__ inline void put(T* to, int i, T value) {
  T* at = to + i;
  *at = value;
}

template <class T>
__device__ inline T get(const T* from, int i) {
  return from[i];
}

__device__ inline void double_at(int* values, int i) {
  const int value = get(values, i);
  put(values, i, 2 * value);
}
