// What nobody wrote and nobody looks at: padding of structs, bits beside a field, bytes of a word.
// None of it is a fault, whichever space it goes through.
#include <cstdint>
#include <cstdio>
#include <vector>

namespace {

constexpr int kThreads = 64;
int failures = 0;

struct Tagged {
  char tag;
  float value;
};
struct Best {  // of a reduction: 4 bytes of padding behind the place
  double value;
  int at;
};
struct alignas(8) Mixed {
  short a;
  char b;
  float c;
};
struct Fields {
  unsigned low : 4, middle : 9, high : 19;
};

__device__ void fill(Tagged& x, int k) { x.tag = char(k), x.value = float(k) / 2; }
__device__ void fill(Best& x, int k) { x.value = k * 1.5, x.at = k; }
__device__ void fill(Mixed& x, int k) { x.a = short(k), x.b = char(-k), x.c = float(k); }
__device__ void fill(Fields& x, int k) { x.low = k & 15, x.middle = 3 * k, x.high = 7 * k; }
bool is(const Tagged& x, int k) { return x.tag == char(k) && x.value == float(k) / 2; }
bool is(const Best& x, int k) { return x.value == k * 1.5 && x.at == k; }
bool is(const Mixed& x, int k) { return x.a == k && x.b == char(-k) && x.c == float(k); }
bool is(const Fields& x, int k) {
  return x.low == (unsigned(k) & 15) && x.middle == unsigned(3 * k) % 512 &&
         x.high == unsigned(7 * k);
}

template <class T>
__global__ void through_shared(T* out) {
  __shared__ T held[kThreads];
  const int t = int(threadIdx.x);
  fill(held[t], t);
  __syncthreads();
  out[t] = held[kThreads - 1 - t];
}
template <class T>
__global__ void through_local(T* out, int by) {
  T held[8];
  for (int k = 0; k < 8; ++k) fill(held[k], k);
  out[threadIdx.x] = held[(int(threadIdx.x) + by) % 8];
}
template <class T>
__global__ void in_place(T* out) {
  fill(out[threadIdx.x], int(threadIdx.x));
}
template <class T>
__global__ void copied(const T* in, T* out) {
  out[threadIdx.x] = in[threadIdx.x];
}
template <class T>
__device__ __noinline__ T larger(T a, T b, bool first) {
  return first ? a : b;
}
template <class T>
__global__ void by_call(T* out, int most) {
  T a, b;
  fill(a, int(threadIdx.x)), fill(b, most);
  out[threadIdx.x] = larger(a, b, int(threadIdx.x) < most);
}

template <class T, class Want>
void expect(const char* what, T* device, Want&& want) {
  std::vector<T> host(kThreads);
  cudaMemcpy(host.data(), device, kThreads * sizeof(T), cudaMemcpyDeviceToHost);
  for (int t = 0; t < kThreads; ++t) {
    if (is(host[size_t(t)], want(t))) continue;
    std::printf("%s of %d bytes: element %d\n", what, int(sizeof(T)), t);
    ++failures;
    return;
  }
}

template <class T>
void test() {
  T *a, *b;
  cudaMalloc(&a, kThreads * sizeof(T)), cudaMalloc(&b, kThreads * sizeof(T));
  const auto same = [](int t) { return t; };
  through_shared<<<1, kThreads>>>(b);
  expect("through shared memory", b, [](int t) { return kThreads - 1 - t; });
  through_local<<<1, kThreads>>>(b, 3);
  expect("through local memory", b, [](int t) { return (t + 3) % 8; });
  in_place<<<1, kThreads>>>(a);
  expect("in place", a, same);
  copied<<<1, kThreads>>>(a, b);
  expect("copied", b, same);
  by_call<<<1, kThreads>>>(b, 40);
  expect("by a call", b, [](int t) { return t < 40 ? t : 40; });
  cudaFree(a), cudaFree(b);
}

/// Words of which some bytes were written, taken apart in the ways that the compiler has.
__global__ void bytes(unsigned* out) {
  __shared__ unsigned char held[4 * kThreads];
  const int t = int(threadIdx.x);
  held[4 * t] = static_cast<unsigned char>(t);
  held[4 * t + 2] = static_cast<unsigned char>(200 + t);
  __syncwarp();
  const unsigned word = *reinterpret_cast<unsigned*>(held + 4 * t);
  const unsigned picked = __byte_perm(word, 0x11223344, 0x7620);
  const int extended = static_cast<signed char>(word >> 16);
  const unsigned rotated = __funnelshift_l(word, word, 16) & 0xff;
  out[t] = (word & 0xff) + (picked & 0xffff) + unsigned(extended) + rotated + (word << 24);
}
void test_bytes() {
  unsigned* out;
  cudaMalloc(&out, kThreads * sizeof(unsigned));
  bytes<<<1, kThreads>>>(out);
  std::vector<unsigned> host(kThreads);
  cudaMemcpy(host.data(), out, kThreads * sizeof(unsigned), cudaMemcpyDeviceToHost);
  for (unsigned t = 0; t < kThreads; ++t) {
    const auto third = static_cast<unsigned char>(200 + t);
    const unsigned want = t + (t | unsigned(third) << 8) +
                          unsigned(int(static_cast<signed char>(third))) + third + (t << 24);
    if (host[t] != want) std::printf("bytes %u: %u, want %u\n", t, host[t], want), ++failures;
  }
  cudaFree(out);
}

}  // namespace

int main() {
  test<Tagged>(), test<Best>(), test<Mixed>(), test<Fields>();
  test_bytes();
  return failures != 0;
}
