#include "train/measure_ops.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "framework/autograd/autograd.h"
#include "framework/core/profile.h"
#include "framework/ops/attention.h"
#include "framework/ops/conv.h"
#include "framework/ops/elementwise.h"
#include "framework/ops/matmul.h"
#include "framework/ops/norm.h"
#include "framework/ops/optimizer.h"
#include "framework/ops/random.h"
#include "framework/ops/shape.h"

namespace noisette {
namespace {

constexpr const char* kCifar = "ddpm-cifar10";
constexpr const char* kSmall = "unet-28";
constexpr const char* kDemo = "fashion-mnist";
constexpr const char* kStable = "stable-diffusion";  // 1.x, 512x512, one image with guidance

/// A leaf of standard normal numbers; each one draws from a stream of its own.
Tensor draw(const Shape& shape, DType dtype, uint32_t layer) {
  std::vector<int64_t> index(std::size_t(shape.dim(0)));
  for (std::size_t i = 0; i < index.size(); ++i) index[i] = int64_t(i);
  return normal(shape, dtype, {0, Purpose::kTest, layer},
                from_vector(index, {int64_t(index.size())}))
      .requires_grad();
}

/// A weight or bias of size 1 / sqrt(fan_in), so that results stay of order one.
Tensor draw_weight(const Shape& shape, DType dtype, uint32_t layer) {
  Tensor w = draw(shape, dtype, layer).detach();
  const double scale = 1 / std::sqrt(double(std::max<int64_t>(1, w.numel() / shape.dim(0))));
  return mul(w, scale).requires_grad();
}

OpCase convolution(const char* where, int64_t n, int64_t size, int64_t in, int64_t out,
                   int64_t kernel = 3, int64_t stride = 1) {
  std::string name = fmt::format("conv {0}x{0}{1} {2} -> {3}, {4} x {5} x {5}", kernel,
                                 stride > 1 ? fmt::format("/{}", stride) : "", in, out, n, size);
  return {kernel == 1 ? "1x1" : "convolution", std::move(name), where, [=](DType t) {
            const Tensor x = draw({n, size, size, in}, t, 1);
            const Tensor w = draw_weight({out, kernel, kernel, in}, t, 2);
            const Tensor b = draw({out}, DType::f32, 3);
            const Conv2dOptions options{.stride = stride, .padding = Padding::same(kernel)};
            return OpCall{{x, w, b}, [=] { return conv2d(x, w, b, options); }};
          }};
}

OpCase product(const char* where, int64_t rows, int64_t in, int64_t out) {
  return {"linear", fmt::format("linear {} -> {}, {} rows", in, out, rows), where, [=](DType t) {
            const Tensor x = draw({rows, in}, t, 1), w = draw_weight({out, in}, t, 2);
            const Tensor b = draw({out}, DType::f32, 3);
            return OpCall{{x, w, b}, [=] { return linear(x, w, b); }};
          }};
}

OpCase heads(const char* where, int64_t n, int64_t tokens, int64_t channels) {
  return {"attention", fmt::format("attention {} x {} tokens, 1 head of {}", n, tokens, channels),
          where, [=](DType t) {
            const Tensor qkv = draw({n, tokens, 3 * channels}, t, 1);
            return OpCall{{qkv}, [=] { return self_attention(qkv, 1); }};
          }};
}

OpCase norm_silu(const char* where, int64_t n, int64_t size, int64_t channels) {
  return {"group norm", fmt::format("group norm + SiLU, {0} x {1} x {1} x {2}", n, size, channels),
          where, [=](DType t) {
            const Tensor x = draw({n, size, size, channels}, t, 1);
            const Tensor w = draw({channels}, DType::f32, 2), b = draw({channels}, DType::f32, 3);
            return OpCall{{x, w, b}, [=] { return group_norm(x, w, b, 32, {.silu = true}); }};
          }};
}

OpCase concat(const char* where, int64_t n, int64_t size, int64_t a, int64_t b) {
  return {"concat", fmt::format("concat {0} + {1}, {2} x {3} x {3}", a, b, n, size), where,
          [=](DType t) {
            const Tensor x = draw({n, size, size, a}, t, 1), y = draw({n, size, size, b}, t, 2);
            return OpCall{{x, y}, [=] { return concat_channels(x, y); }, false};
          }};
}

OpCase enlarge(const char* where, int64_t n, int64_t size, int64_t channels) {
  return {"resize", fmt::format("resize x2, {0} x {1} x {1} x {2}", n, size, channels), where,
          [=](DType t) {
            const Tensor x = draw({n, size, size, channels}, t, 1);
            return OpCall{{x}, [=] { return resize_nearest(x, 2); }, false};
          }};
}

OpCase enlarge_and_convolve(const char* where, int64_t n, int64_t size, int64_t channels) {
  std::string name =
      fmt::format("resize x2 + conv 3x3 {0} -> {0}, {1} x {2} x {2}", channels, n, size);
  return {"convolution", std::move(name), where, [=](DType t) {
            const Tensor x = draw({n, size, size, channels}, t, 1);
            const Tensor w = draw_weight({channels, 3, 3, channels}, t, 2);
            const Tensor b = draw({channels}, DType::f32, 3);
            return OpCall{{x, w, b}, [=] { return upsample_conv2d(x, w, b); }};
          }};
}

OpCase adamw(const char* where, int64_t size) {
  return {"adamw", fmt::format("AdamW + average, {} parameters", size), where, [=](DType t) {
            const Tensor numbers = make_update_numbers({.learning_rate = 1e-4, .ema_decay = 0.999});
            const auto buffer = [&] { return zeros({size}, DType::f32); };
            OptimizerBuffers b{buffer(), buffer(), buffer(), buffer(), buffer(), {}};
            if (t == DType::bf16) b.compute = zeros({size}, DType::bf16);
            // Reads all five and writes all but the gradient; the norm of the gradient comes first.
            const double bytes = double(size) * (4 * (5 + 4 + 1) + (t == DType::bf16 ? 2 : 0));
            const auto run = [=] {
              gradient_squares(b.grad, numbers);
              adamw_step(b, numbers, {.clip_norm = 1});
              return Tensor();
            };
            return OpCall{{}, run, false, bytes};
          }};
}

double bytes_of(const std::vector<Tensor>& tensors) {
  double sum = 0;
  for (const Tensor& t : tensors)
    if (t.defined()) sum += double(t.bytes());
  return sum;
}

template <class F>
double seconds_of(const F& run) {
  const auto start = std::chrono::steady_clock::now();
  run();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> v) {
  const auto middle = v.begin() + std::ptrdiff_t(v.size() / 2);
  std::nth_element(v.begin(), middle, v.end());
  return *middle;
}

/// One call of each direction; the backward closure alone, without the engine's bookkeeping.
struct Timed {
  double forward = 0, backward = 0, forward_flops = 0, backward_flops = 0;
  double result_bytes = 0, gradient_bytes = 0;

  explicit Timed(const OpCall& call) {
    Profile profile;
    Tensor y;
    forward = seconds_of([&] { y = call.run(); });
    forward_flops = profile.flops();
    if (!y.defined()) return;
    result_bytes = double(y.bytes());
    const Tensor dy = draw(y.shape(), y.dtype(), 9).detach();
    profile.clear();
    Grads grads;
    backward = seconds_of([&] { grads = y.node()->backward(dy, Needs(*y.node())); });
    backward_flops = profile.flops();
    gradient_bytes = bytes_of(grads);
  }
};

}  // namespace

std::vector<OpCase> op_cases(int64_t batch) {
  const int64_t c = batch > 0 ? batch : 16, s = batch > 0 ? batch : 64, d = batch > 0 ? batch : 2;
  const int64_t m = batch > 0 ? batch : 32;
  return {convolution(kCifar, c, 32, 3, 128),
          convolution(kCifar, c, 32, 128, 128),
          convolution(kCifar, c, 32, 256, 128),
          convolution(kCifar, c, 32, 384, 128),
          convolution(kCifar, c, 32, 128, 128, 3, 2),
          convolution(kCifar, c, 16, 128, 256),
          convolution(kCifar, c, 16, 256, 256),
          convolution(kCifar, c, 16, 512, 256),
          convolution(kCifar, c, 8, 256, 256),
          convolution(kCifar, c, 8, 512, 256),
          convolution(kCifar, c, 4, 256, 256),
          convolution(kCifar, c, 4, 512, 256),
          convolution(kCifar, c, 32, 128, 3),
          convolution(kSmall, s, 28, 1, 64),
          convolution(kSmall, s, 28, 64, 64),
          convolution(kSmall, s, 28, 192, 64),
          convolution(kSmall, s, 28, 64, 64, 3, 2),
          convolution(kSmall, s, 14, 64, 128),
          convolution(kSmall, s, 14, 128, 128),
          convolution(kSmall, s, 14, 256, 128),
          convolution(kSmall, s, 7, 128, 128),
          convolution(kSmall, s, 7, 256, 128),
          convolution(kSmall, s, 28, 64, 1),
          convolution(kDemo, m, 28, 1, 32),
          convolution(kDemo, m, 28, 32, 32),
          convolution(kDemo, m, 28, 96, 32),
          convolution(kDemo, m, 28, 32, 32, 3, 2),
          convolution(kDemo, m, 14, 32, 64),
          convolution(kDemo, m, 14, 64, 64),
          convolution(kDemo, m, 14, 128, 64),
          convolution(kDemo, m, 14, 64, 64, 3, 2),
          convolution(kDemo, m, 7, 64, 64),
          convolution(kDemo, m, 7, 128, 64),
          convolution(kStable, d, 64, 320, 320),
          convolution(kStable, d, 32, 640, 640),
          convolution(kStable, d, 16, 1280, 1280),
          convolution(kStable, d, 8, 1280, 1280),
          convolution(kCifar, c, 32, 384, 128, 1),
          convolution(kCifar, c, 16, 512, 256, 1),
          convolution(kSmall, s, 28, 192, 64, 1),
          convolution(kSmall, s, 14, 256, 128, 1),
          product(kCifar, c * 256, 256, 768),
          product(kCifar, c * 256, 256, 256),
          product(kCifar, c, 512, 256),
          product(kSmall, s * 196, 128, 384),
          product(kSmall, s * 196, 128, 128),
          product(kSmall, s, 256, 128),
          heads(kCifar, c, 256, 256),
          heads(kSmall, s, 196, 128),
          norm_silu(kCifar, c, 32, 128),
          norm_silu(kCifar, c, 16, 512),
          norm_silu(kSmall, s, 28, 64),
          norm_silu(kSmall, s, 14, 128),
          concat(kCifar, c, 32, 256, 128),
          norm_silu(kDemo, m, 28, 32),
          concat(kSmall, s, 28, 128, 64),
          enlarge(kCifar, c, 16, 256),
          enlarge_and_convolve(kCifar, c, 16, 256),
          enlarge(kSmall, s, 14, 128),
          enlarge_and_convolve(kSmall, s, 14, 128),
          enlarge_and_convolve(kDemo, m, 14, 64),
          enlarge_and_convolve(kDemo, m, 7, 64),
          adamw(kSmall, 4'435'393)};
}

std::vector<OpMeasurement> measure_op(const OpCase& c, DType dtype, int64_t repeat) {
  const OpCall call = c.make(dtype);
  Timed first(call);  // primitives are made and pages touched
  std::vector<double> forward, backward;
  for (int64_t i = 0; i < std::max<int64_t>(1, repeat); ++i) {
    const Timed t(call);
    forward.push_back(t.forward);
    backward.push_back(t.backward);
  }
  const double inputs = bytes_of(call.inputs);
  const bool in_place = first.result_bytes == 0;
  OpMeasurement m{c.family, c.name, c.where, in_place ? "update" : "forward", dtype};
  m.seconds = median(forward);
  m.flops = first.forward_flops;
  m.bytes = in_place ? call.bytes : inputs + first.result_bytes;
  std::vector<OpMeasurement> all{m};
  if (in_place) return all;
  m.pass = "backward";
  m.seconds = median(backward);
  m.flops = first.backward_flops;
  m.bytes = (call.backward_reads_x ? inputs : 0) + first.result_bytes + first.gradient_bytes;
  all.push_back(m);
  return all;
}

}  // namespace noisette
