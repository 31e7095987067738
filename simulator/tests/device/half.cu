// Arithmetic of f16 and bf16 against exact sums and products on the host, rounded once by integer
// arithmetic.
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

constexpr int kCount = 1 << 14, kResults = 12;

template <class P>
__device__ uint32_t bits(P p) {
  uint32_t u;
  memcpy(&u, &p, 4);
  return u;
}

/// Results of operations on pairs: a row of kResults for each thread.
template <class P>
__global__ void operate(const P* a, const P* b, const P* c, uint32_t* out) {
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  uint32_t* r = out + i * kResults;
  r[0] = bits(__hadd2(a[i], b[i]));
  r[1] = bits(__hsub2(a[i], b[i]));
  r[2] = bits(__hmul2(a[i], b[i]));
  r[3] = bits(__hfma2(a[i], b[i], c[i]));
  r[4] = bits(__hfma2_relu(a[i], b[i], c[i]));
  r[5] = bits(__hmin2(a[i], b[i]));
  r[6] = bits(__hmax2_nan(a[i], b[i]));
  r[7] = bits(__hneg2(a[i]));
  r[8] = bits(__habs2(a[i]));
  r[9] = bits(__hlt2(a[i], b[i]));
  r[10] = __hneu2_mask(a[i], b[i]);
  r[11] = bits(__hfma2_sat(a[i], b[i], c[i]));
}

// Numbers of either format are integers times 2^-unit as long as their exponents are small.
struct Format {
  int mantissa, bias, infinity, one;
};
constexpr Format kHalf{10, 15, 0x7c00, 0x3c00}, kBrain{7, 127, 0x7f80, 0x3f80};

bool is_nan(const Format& f, int x) { return (x & 0x7fff) > f.infinity; }
bool is_infinite(const Format& f, int x) { return (x & 0x7fff) == f.infinity; }

/// x = integer * 2^-56, for finite x between 2^-40 and 2^40 and zero.
__int128 exact(const Format& f, int x) {
  const int exponent = (x & 0x7fff) >> f.mantissa, fraction = x & ((1 << f.mantissa) - 1);
  const __int128 m = exponent ? fraction | 1 << f.mantissa : fraction;
  const int shift = (exponent ? exponent : 1) - f.bias - f.mantissa + 56;
  const __int128 v = shift >= 0 ? m << shift : m >> -shift;
  return x & 0x8000 ? -v : v;
}

/// value * 2^-scale, rounded to nearest even.
int rounded(const Format& f, __int128 value, int scale, bool negative_zero) {
  if (value == 0) return negative_zero ? 0x8000 : 0;
  const int sign = value < 0 ? 0x8000 : 0;
  const auto m = static_cast<unsigned __int128>(value < 0 ? -value : value);
  int top = 0;
  while (m >> top > 1) ++top;
  const int exponent = top - scale, least = 1 - f.bias;
  const int unit =
      (exponent > least ? exponent : least) - f.mantissa + scale;  // bits that are lost
  unsigned __int128 whole = unit > 0 ? m >> unit : m << -unit;
  if (unit > 0) {
    const unsigned __int128 rest = m - (whole << unit), half = static_cast<unsigned __int128>(1)
                                                               << (unit - 1);
    if (rest > half || (rest == half && whole % 2)) ++whole;
  }
  const int above = exponent > least ? exponent - least : 0;
  const int result = int(whole) + (above << f.mantissa);
  return sign | (result >= f.infinity ? f.infinity : result);
}

double value(const Format& f, int x) {
  if (is_nan(f, x)) return NAN;
  if (is_infinite(f, x)) return x & 0x8000 ? -INFINITY : INFINITY;
  const int exponent = (x & 0x7fff) >> f.mantissa, fraction = x & ((1 << f.mantissa) - 1);
  const double m = std::ldexp(exponent ? fraction | 1 << f.mantissa : fraction,
                              (exponent ? exponent : 1) - f.bias - f.mantissa);
  return x & 0x8000 ? -m : m;
}

/// a * b + c; where one is not finite, what a double says.
int fma_of(const Format& f, int a, int b, int c) {
  const double wild = value(f, a) * value(f, b) + value(f, c);
  if (std::isnan(wild)) return 0x7fff;
  if (std::isinf(wild)) return wild < 0 ? f.infinity | 0x8000 : f.infinity;
  const __int128 sum = (exact(f, a) >> 28) * (exact(f, b) >> 28) + exact(f, c);
  return rounded(f, sum, 56, std::signbit(wild));
}

int operation(const Format& f, int k, int a, int b, int c) {
  const double x = value(f, a), y = value(f, b);
  switch (k) {
    case 0:
      return fma_of(f, a, f.one, b);
    case 1:
      return fma_of(f, b, f.one | 0x8000, a);
    case 2:
      return fma_of(f, a, b, 0x8000);
    case 3:
      return fma_of(f, a, b, c);
    case 4: {
      const int r = fma_of(f, a, b, c);
      return !is_nan(f, r) && r & 0x8000 ? 0 : r;
    }
    case 5:
      if (std::isnan(x) || std::isnan(y))
        return std::isnan(x) && std::isnan(y) ? 0x7fff : std::isnan(x) ? b : a;
      return x < y || (x == y && a & 0x8000) ? a : b;
    case 6:
      if (std::isnan(x) || std::isnan(y)) return 0x7fff;
      return x > y || (x == y && b & 0x8000) ? a : b;
    case 7:
      return a ^ 0x8000;
    case 8:
      return a & 0x7fff;
    case 9:
      return x < y ? f.one : 0;
    case 10:
      return x != y ? 0xffff : 0;
    default: {
      const int r = fma_of(f, a, b, c);
      const double v = value(f, r);
      return v > 1 ? f.one : v > 0 ? r : 0;
    }
  }
}

/// Of small exponents, so that the host's sums are exact; sometimes special.
int random_number(const Format& f) {
  const int special[] = {0,      0x8000, f.infinity,     f.infinity | 0x8000,
                         0x7fff, f.one,  1 << f.mantissa};
  if (std::rand() % 24 == 0) return special[std::rand() % (f.bias == 15 ? 7 : 6)];
  const int span = f.bias == 15 ? 8 : 9;
  const int exponent = f.bias - span + std::rand() % (2 * span + 1);
  return exponent << f.mantissa | (std::rand() & ((1 << f.mantissa) - 1)) | (std::rand() & 1) << 15;
}

template <class P>
int check(const char* name, const Format& f) {
  uint32_t *in[3], *out;
  for (auto& p : in) {
    cudaMallocManaged(&p, kCount * 4);
    for (int i = 0; i < kCount; ++i)
      p[i] = uint32_t(random_number(f)) | uint32_t(random_number(f)) << 16;
  }
  cudaMallocManaged(&out, kCount * kResults * 4);
  operate<P><<<kCount / 128, 128>>>(reinterpret_cast<P*>(in[0]), reinterpret_cast<P*>(in[1]),
                                    reinterpret_cast<P*>(in[2]), out);
  const cudaError_t error = cudaDeviceSynchronize();
  if (error != cudaSuccess) return std::printf("%s: %s\n", name, cudaGetErrorString(error)), 1;
  int failures = 0;
  for (int i = 0; i < kCount * kResults && failures < 10; ++i)
    for (int part = 0; part < 32; part += 16) {
      const auto of = [&](uint32_t u) { return int(u >> part & 0xffff); };
      const int a = of(in[0][i / kResults]), b = of(in[1][i / kResults]),
                c = of(in[2][i / kResults]);
      const int got = of(out[i]), want = operation(f, i % kResults, a, b, c);
      if (got == want || (i % kResults < 7 && is_nan(f, got) && is_nan(f, want) && got == 0x7fff))
        continue;
      std::printf("%s, operation %d of %04x %04x %04x: %04x, not %04x\n", name, i % kResults, a, b,
                  c, got, want);
      ++failures;
    }
  for (auto* p : in) cudaFree(p);
  cudaFree(out);
  return failures;
}

/// Approximate functions within their documented errors.
__global__ void approximate(const __half* x, const __nv_bfloat16* y, float* out) {
  const int i = int(threadIdx.x);
  __half e = x[i], t = x[i];
  __nv_bfloat16 be = y[i], bt = y[i];
  asm("ex2.approx.f16 %0, %0;" : "+h"(*reinterpret_cast<unsigned short*>(&e)));
  asm("tanh.approx.f16 %0, %0;" : "+h"(*reinterpret_cast<unsigned short*>(&t)));
#if __CUDA_ARCH__ >= 900
  asm("ex2.approx.ftz.bf16 %0, %0;" : "+h"(*reinterpret_cast<unsigned short*>(&be)));
  asm("tanh.approx.bf16 %0, %0;" : "+h"(*reinterpret_cast<unsigned short*>(&bt)));
#else
  be = __float2bfloat16(exp2f(float(be)));
  bt = __float2bfloat16(tanhf(float(bt)));
#endif
  out[i] = float(e), out[i + 128] = float(t), out[i + 256] = float(be), out[i + 384] = float(bt);
}

int check_approximate() {
  __half* x;
  __nv_bfloat16* y;
  float* out;
  cudaMallocManaged(&x, 256);
  cudaMallocManaged(&y, 256);
  cudaMallocManaged(&out, 2048);
  for (int i = 0; i < 128; ++i)
    x[i] = __half(float(i - 64) / 8), y[i] = __nv_bfloat16(float(i - 64) / 8);
  approximate<<<1, 128>>>(x, y, out);
  if (cudaDeviceSynchronize() != cudaSuccess) return std::printf("approximate did not run\n"), 1;
  int failures = 0;
  for (int i = 0; i < 512; ++i) {
    const double v = double(i % 128 - 64) / 8, want = i / 128 % 2 ? std::tanh(v) : std::exp2(v);
    const double bound = i < 128   ? want * std::exp2(-9.9)
                         : i < 256 ? std::exp2(-10.987)
                         : i < 384 ? want / 128
                                   : 1.0 / 256;
    if (std::fabs(out[i] - want) <= bound) continue;
    std::printf("approximate %d of %g: %g, not %g\n", i / 128, v, double(out[i]), want);
    ++failures;
  }
  cudaFree(x);
  cudaFree(y);
  cudaFree(out);
  return failures;
}

int main() {
  const int failures =
      check<__half2>("f16", kHalf) + check<__nv_bfloat162>("bf16", kBrain) + check_approximate();
  return failures != 0;
}
