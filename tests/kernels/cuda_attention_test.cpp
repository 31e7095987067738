// Fused attention against the f64 reference: bf16 on tensor cores, every width that kernels are
// compiled for, and f32 by multiply-adds, around the edges of their tiles.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/attention.h"
#include "tests/kernels/on_device.h"
#include "tests/kernels/values.h"

#ifdef NOISETTE_CUDA

namespace noisette {
namespace {

using test::cast;
using test::OnDevice;
using test::random_values;
using test::value;

struct Case {
  int64_t batch, queries, keys, heads, head_dim;
  bool causal = false;
  bool fused = false;  // q, k and v are column ranges of one projection
};

std::string name_of(const Case& c) {
  return "b" + std::to_string(c.batch) + "_q" + std::to_string(c.queries) + "_k" +
         std::to_string(c.keys) + "_h" + std::to_string(c.heads) + "_d" +
         std::to_string(c.head_dim) + (c.causal ? "_causal" : "") + (c.fused ? "_fused" : "");
}

/// What attention reads and writes. q, k and v lie in one buffer, and so do their gradients.
template <class T>
struct Buffers {
  std::vector<T> qkv, o, dout, gradients;
  std::vector<acc_t<T>> lse;
};

struct Layout {
  explicit Layout(const Case& c) {
    const int64_t width = c.heads * c.head_dim, row = c.fused ? 3 * width : width + 8;
    d = {c.batch,
         c.queries,
         c.keys,
         c.heads,
         c.head_dim,
         row,
         row,
         row,
         width,
         c.causal,
         1 / std::sqrt(double(c.head_dim))};
    const int64_t of_q = c.batch * c.queries * row, of_k = c.batch * c.keys * row;
    k = c.fused ? width : of_q;
    v = c.fused ? 2 * width : of_q + of_k;
    numel = c.fused ? of_q : of_q + 2 * of_k;
    of_o = c.batch * c.queries * width;
    of_lse = c.batch * c.heads * c.queries;
  }
  AttentionDims d;
  int64_t k, v, numel, of_o, of_lse;  // where k and v begin, and sizes
};

constexpr double kUntouched = 12288;  // exact in bf16; no gradient comes near it

Buffers<double> reference(const Layout& at) {
  Buffers<double> x;
  x.qkv = random_values(at.numel, 1), x.dout = random_values(at.of_o, 2);
  x.o.resize(x.dout.size()), x.lse.resize(std::size_t(at.of_lse));
  x.gradients.assign(x.qkv.size(), kUntouched);
  const double* in = x.qkv.data();
  double* out = x.gradients.data();
  cpu::attention_forward(in, in + at.k, in + at.v, x.o.data(), x.lse.data(), at.d);
  cpu::attention_backward<double>(in, in + at.k, in + at.v, x.o.data(), x.lse.data(), x.dout.data(),
                                  out, out + at.k, out + at.v, at.d);
  return x;
}

template <class T>
Buffers<T> on_device(const Layout& at, const Buffers<double>& from) {
  const OnDevice qkv(cast<T>(from.qkv)), dout(cast<T>(from.dout));
  const OnDevice o(cast<T>(std::vector<double>(from.o.size(), kUntouched)));
  const OnDevice lse(std::vector<float>(from.lse.size()));
  const OnDevice gradients(cast<T>(std::vector<double>(from.gradients.size(), kUntouched)));
  const T* in = qkv.get();
  T* out = gradients.get();
  cuda::attention_forward(in, in + at.k, in + at.v, o.get(), lse.get(), at.d);
  cuda::attention_backward<T>(in, in + at.k, in + at.v, o.get(), lse.get(), dout.get(), out,
                              out + at.k, out + at.v, at.d);
  return {{}, o.back(), {}, gradients.back(), lse.back()};
}

/// Largest difference over the largest magnitude, which is at least `floor`.
template <class T>
double error(const std::vector<T>& got, const std::vector<double>& want, double floor) {
  double difference = 0, size = floor;
  for (std::size_t i = 0; i < want.size(); ++i) {
    double x;
    if constexpr (std::is_same_v<T, bfloat16>)
      x = value(got[i]);
    else
      x = double(got[i]);
    if (want[i] == kUntouched) {
      EXPECT_EQ(x, kUntouched) << "written between rows, at " << i;
      continue;
    }
    if (!std::isfinite(x)) return INFINITY;
    difference = std::max(difference, std::abs(x - want[i]));
    size = std::max(size, std::abs(want[i]));
  }
  return difference / size;
}

template <class T>
bool same_bytes(const std::vector<T>& a, const std::vector<T>& b) {
  return std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

class CudaAttention : public test::NeedsCuda<testing::TestWithParam<Case>> {};

struct Bounds {
  double o, lse, gradients;
};

template <class T>
void matches_f64(const Case& c, const Bounds& most) {
  const Layout at(c);
  const Buffers<double> want = reference(at);
  const Buffers<T> got = on_device<T>(at, want);
  EXPECT_LE(error(got.o, want.o, 0.1), most.o);
  EXPECT_LE(error(got.lse, want.lse, 1), most.lse);
  EXPECT_LE(error(got.gradients, want.gradients, 0.1), most.gradients);
  const Buffers<T> again = on_device<T>(at, want);
  EXPECT_TRUE(same_bytes(got.o, again.o) && same_bytes(got.lse, again.lse));
  EXPECT_TRUE(same_bytes(got.gradients, again.gradients));
}

// Worst of all cases when written: o 4.4e-3 and gradients 4.7e-3, from rounding P, dS and the
// results to 8 bits (one rounding is 2e-3 to 4e-3); lse, in f32 all along, 2.3e-7.
TEST_P(CudaAttention, Bf16MatchesF64) {
  matches_f64<bfloat16>(GetParam(), {.o = 1e-2, .lse = 5e-7, .gradients = 1e-2});
}

// Worst when written: 8.2e-7, 1.5e-7 and 1.1e-6.
TEST_P(CudaAttention, F32MatchesF64) {
  matches_f64<float>(GetParam(), {.o = 2e-6, .lse = 5e-7, .gradients = 3e-6});
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const int64_t head_dim : {40, 64, 80, 128, 160, 256, 512})  // that figures are counted on
    all.push_back({1, 256, 256, 1, head_dim});
  for (const int64_t head_dim : {8, 32, 40, 64, 80, 128, 160, 200, 256, 512})
    for (const bool causal : {false, true}) all.push_back({1, 77, 77, 1, head_dim, causal, true});
  for (const int64_t head_dim : {40, 64, 128, 160, 256, 512})
    all.push_back({1, 33, 130, 1, head_dim});
  for (const int64_t edge : {1, 15, 16, 17, 63, 64, 65, 130}) {
    all.push_back({1, edge, edge, 1, 64, true});
    all.push_back({1, edge, 77, 1, 160});
    all.push_back({1, 77, edge, 1, 80});
    all.push_back({1, edge, 66 - edge % 64, 1, 256});
  }
  all.push_back({2, 70, 35, 3, 24});  // several heads and batch elements
  all.push_back({2, 20, 40, 2, 192});
  all.push_back({1, 150, 40, 1, 48, true});  // causal with fewer keys, and more
  all.push_back({1, 40, 150, 1, 48, true});
  all.push_back({1, 140, 70, 1, 384, true});
  all.push_back({1, 300, 300, 2, 40, false, true});
  all.push_back({1, 128, 129, 1, 128});  // around the tiles of f32
  all.push_back({1, 257, 127, 1, 132});
  all.push_back({1, 257, 257, 1, 20, true, true});
  return all;
}

INSTANTIATE_TEST_SUITE_P(Shapes, CudaAttention, testing::ValuesIn(cases()),
                         [](const auto& info) { return name_of(info.param); });

class CudaAttentionOnce : public test::NeedsCuda<testing::Test> {};

TEST_F(CudaAttentionOnce, LargeLogitsStayFinite) {
  for (const int64_t head_dim : {24, 256})
    for (const bool causal : {false, true}) {
      const Layout at(Case{1, 70, 130, 1, head_dim, causal});
      Buffers<double> x = reference(at);
      for (double& e : x.qkv) e *= 256;  // scores up to about 1e6
      const Buffers<bfloat16> got = on_device<bfloat16>(at, x);
      for (const bfloat16 e : got.o) EXPECT_TRUE(std::isfinite(value(e)));
      for (const bfloat16 e : got.gradients) EXPECT_TRUE(std::isfinite(value(e)));
      for (const float e : got.lse) EXPECT_TRUE(std::isfinite(e));
    }
}

TEST_F(CudaAttentionOnce, LogSumExpIsOptional) {
  for (const int64_t head_dim : {40, 200}) {
    const Layout at(Case{2, 70, 35, 2, head_dim});
    const Buffers<double> x = reference(at);
    const Buffers<bfloat16> with = on_device<bfloat16>(at, x);
    const OnDevice qkv(cast<bfloat16>(x.qkv));
    const OnDevice o(std::vector<bfloat16>(with.o.size()));
    const bfloat16* in = qkv.get();
    cuda::attention_forward<bfloat16>(in, in + at.k, in + at.v, o.get(), nullptr, at.d);
    EXPECT_TRUE(same_bytes(o.back(), with.o));
  }
}

}  // namespace
}  // namespace noisette

#endif
