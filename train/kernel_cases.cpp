#include "train/kernel_cases.h"

#include <fmt/format.h>

#include "framework/core/dispatch.h"
#include "kernels/activation.h"
#include "kernels/attention.h"
#include "kernels/conv.h"
#include "kernels/diffusion.h"
#include "kernels/elementwise.h"
#include "kernels/embedding.h"
#include "kernels/loss.h"
#include "kernels/matmul.h"
#include "kernels/norm.h"
#include "kernels/optimizer.h"
#include "kernels/random.h"
#include "kernels/shape.h"
#include "kernels/softmax.h"
#include "kernels/upsample_conv.h"
#include "train/measure.h"

namespace noisette {

#ifdef NOISETTE_CUDA

namespace {

using Call = std::function<void()>;
using B = bfloat16;

constexpr int64_t kTile = 128;
constexpr int64_t kSample = 4;  // blocks of a large product: all do the same

/// Zeros of T on the device. Counts do not depend on values.
template <class T>
Tensor on_device(int64_t n) {
  return zeros({n}, dtype_of<T>, Device{DeviceType::cuda, 0});
}

template <class T>
const char* type_name() {
  return sizeof(T) == 2 ? "bf16" : "f32";
}

double mega(int64_t n) { return double(n) / 1e6; }
int64_t tiles_of(int64_t n) { return (n + kTile - 1) / kTile; }

/// What tiles of a product of `batch` times m x k by k x n move, elements of T.
template <class T = B>
double tile_bytes(int64_t batch, int64_t m, int64_t n, int64_t k, int64_t result_bytes) {
  return double(batch * tiles_of(m) * tiles_of(n)) * double(2 * kTile * k * int64_t(sizeof(T))) +
         double(batch * m * n * result_bytes);
}

/// `sample`: blocks that run; 0: all, so that what they find in the caches is that of the card.
template <class T = B>
KernelCase product(MatmulDims d, int64_t sample = kSample) {
  const char* of[] = {"A B", "At B", "A Bt", "At Bt"};
  KernelCase c{.family = "product",
               .name = fmt::format("{} x {} x {}, {}, {}", d.m, d.n, d.k,
                                   of[int(d.trans_a) + 2 * int(d.trans_b)], type_name<T>()),
               .sample = sample};
  c.tile_bytes = tile_bytes<T>(d.batch, d.m, d.n, d.k, sizeof(T));
  c.flops = d.flops();
  c.make = [d]() -> Call {
    const Tensor a = on_device<T>(d.a_numel()), b = on_device<T>(d.b_numel()),
                 r = on_device<T>(d.c_numel());
    return [=] { cuda::matmul<T>(a.data<T>(), b.data<T>(), nullptr, nullptr, r.data<T>(), d); };
  };
  return c;
}

/// What a training step does in one kernel: a linear map with an activation, or its gate, kept too.
KernelCase linear_end(int64_t m, int64_t n, int64_t k, bool gate) {
  const MatmulDims d{.m = m, .n = n, .k = k, .trans_b = true};
  KernelCase c{
      .family = "product",
      .name = fmt::format("linear + {} {} x {} x {}, bf16", gate ? "GEGLU" : "SiLU", m, n, k),
      .sample = kSample};
  c.tile_bytes = tile_bytes(1, m, n, k, gate ? 3 : 4);
  c.flops = d.flops();
  c.make = [d, gate]() -> Call {
    const Tensor a = on_device<B>(d.a_numel()), b = on_device<B>(d.b_numel()),
                 bias = on_device<float>(d.n), s = on_device<B>(d.c_numel()),
                 y = on_device<B>(d.c_numel());
    return [=] {
      if (gate)
        cuda::matmul_geglu<B>(a.data<B>(), b.data<B>(), bias.data<float>(), s.data<B>(),
                              y.data<B>(), d);
      else
        cuda::matmul_activation<B>(a.data<B>(), b.data<B>(), bias.data<float>(), nullptr,
                                   s.data<B>(), y.data<B>(), Activation::silu, d);
    };
  };
  return c;
}

/// Multiply-adds of taps that see a pixel, twice.
double useful_flops(const ConvDims& d) {
  const auto inside = [&](int64_t out, int64_t in, int64_t taps, int64_t pad) {
    int64_t count = 0;
    for (int64_t i = 0; i < out; ++i)
      for (int64_t a = 0; a < taps; ++a) {
        const int64_t at = i * d.stride + a - pad;
        count += at >= 0 && at < in;
      }
    return count;
  };
  return 2.0 * double(d.batch) * double(inside(d.out_h(), d.in_h, d.kernel_h, d.pad_top)) *
         double(inside(d.out_w(), d.in_w, d.kernel_w, d.pad_left)) * double(d.in_c * d.out_c);
}

template <class T = B>
KernelCase convolution(ConvDims d, ConvPass pass) {
  const char* passes[] = {"forward", "data gradient", "weight gradient"};
  KernelCase c{.family = "convolution",
               .name = fmt::format("conv {0}x{0}{1} {2} -> {3}, {4} x {5} x {5}, {6}, {7}",
                                   d.kernel_h, d.stride > 1 ? "/2" : "", d.in_c, d.out_c, d.batch,
                                   d.in_h, type_name<T>(), passes[int(pass)]),
               .sample = kSample};
  const int64_t taps = d.kernel_h * d.kernel_w, places = d.batch * d.out_h() * d.out_w();
  if (pass == ConvPass::forward)
    c.tile_bytes = tile_bytes<T>(1, places, d.out_c, taps * d.in_c, sizeof(T));
  else if (pass == ConvPass::backward_data)
    c.tile_bytes = tile_bytes<T>(1, d.batch * d.in_h * d.in_w, d.in_c, taps * d.out_c, sizeof(T));
  else
    c.tile_bytes = tile_bytes<T>(1, d.out_c, taps * d.in_c, places, 4);
  c.flops = useful_flops(d);
  c.make = [d, pass]() -> Call {
    const Tensor x = on_device<T>(d.x_numel()), w = on_device<T>(d.weight_numel()),
                 y = on_device<T>(d.y_numel());
    if (pass == ConvPass::forward)
      return [=] {
        cuda::conv2d_forward<T>(x.data<T>(), w.data<T>(), nullptr, nullptr, y.data<T>(), d);
      };
    if (pass == ConvPass::backward_data)
      return
          [=] { cuda::conv2d_backward_data<T>(y.data<T>(), w.data<T>(), nullptr, x.data<T>(), d); };
    const Tensor dw = on_device<float>(d.weight_numel());
    return [=] {
      cuda::conv2d_backward_weight<T>(x.data<T>(), y.data<T>(), dw.data<float>(), false, d);
    };
  };
  return c;
}

/// resize x2 and a 3x3 convolution, one after the other four kinds of output.
KernelCase upsampled(int64_t batch, int64_t size, int64_t channels, bool backward) {
  const UpsampleConvDims d{batch, size, size, channels, channels};
  KernelCase c{.family = "convolution",
               .name = fmt::format("resize x2 + conv 3x3 {0} -> {0}, {1} x {2} x {2}, bf16, {3}",
                                   channels, batch, size, backward ? "both gradients" : "forward"),
               .sample = kSample};
  c.make = [d, backward]() -> Call {
    const Tensor x = on_device<B>(d.x_numel()), w = on_device<B>(d.weight_numel()),
                 y = on_device<B>(d.y_numel());
    if (!backward)
      return [=] {
        cuda::upsample_conv2d_forward<B>(x.data<B>(), w.data<B>(), nullptr, y.data<B>(), d);
      };
    const Tensor dx = on_device<B>(d.x_numel()), dw = on_device<float>(d.weight_numel());
    return [=] {
      cuda::upsample_conv2d_backward<B>(x.data<B>(), w.data<B>(), y.data<B>(), nullptr,
                                        dx.data<B>(), dw.data<float>(), false, d);
    };
  };
  return c;
}

template <class T = B>
KernelCase attention(int64_t batch, int64_t queries, int64_t keys, int64_t heads, int64_t head_dim,
                     bool causal, bool backward) {
  const int64_t width = heads * head_dim;
  const AttentionDims d{.batch = batch,
                        .queries = queries,
                        .keys = keys,
                        .heads = heads,
                        .head_dim = head_dim,
                        .q_stride = width,
                        .k_stride = width,
                        .v_stride = width,
                        .o_stride = width,
                        .causal = causal,
                        .scale = 0.1};
  KernelCase c{.family = "attention",
               .name = fmt::format("attention {} x {} to {}{}, {} of {}, {}, {}", batch, queries,
                                   keys, causal ? " causal" : "", heads, head_dim, type_name<T>(),
                                   backward ? "backward" : "forward"),
               .sample = kSample};
  c.flops = double(backward ? 10 : 4) * double(batch * heads * head_dim) * double(queries * keys) /
            (causal ? 2 : 1);
  c.make = [=]() -> Call {
    const Tensor q = on_device<T>(batch * queries * width), k = on_device<T>(batch * keys * width),
                 v = on_device<T>(batch * keys * width), o = on_device<T>(batch * queries * width),
                 lse = on_device<float>(batch * heads * queries);
    if (!backward)
      return [=] {
        cuda::attention_forward<T>(q.data<T>(), k.data<T>(), v.data<T>(), o.data<T>(),
                                   lse.data<float>(), d);
      };
    const Tensor dq = q.clone(), dk = k.clone(), dv = v.clone();
    return [=] {
      cuda::attention_backward<T>(q.data<T>(), k.data<T>(), v.data<T>(), o.data<T>(),
                                  lse.data<float>(), o.data<T>(), dq.data<T>(), dk.data<T>(),
                                  dv.data<T>(), d);
    };
  };
  return c;
}

/// A kernel that memory bounds: bytes read and written once.
KernelCase memory(std::string name, double bytes, std::function<Call()> make) {
  return {
      .family = "memory", .name = std::move(name), .least_bytes = bytes, .make = std::move(make)};
}

template <class T>
void add_norms(std::vector<KernelCase>& all, const GroupNormDims& d) {
  const int64_t n = d.batch * d.pixels * d.channels, groups = d.batch * d.groups;
  const std::string of = fmt::format("group norm + SiLU {} x {} x {}, {}", d.batch, d.pixels,
                                     d.channels, type_name<T>());
  const auto tensors = [=] {
    return std::vector<Tensor>{on_device<T>(n), on_device<T>(n), on_device<float>(d.channels),
                               on_device<float>(groups)};
  };
  all.push_back(memory(of + ", forward", double(2 * n * sizeof(T)), [=]() -> Call {
    const std::vector<Tensor> t = tensors();
    return [=] {
      cuda::group_norm_forward<T>(t[0].data<T>(), nullptr, t[2].data<float>(), t[2].data<float>(),
                                  t[1].data<T>(), t[3].data<float>(), t[3].data<float>(), d);
    };
  }));
  all.push_back(memory(of + ", backward", double(3 * n * sizeof(T)), [=]() -> Call {
    const std::vector<Tensor> t = tensors();
    const Tensor dx = on_device<T>(n), dw = on_device<float>(d.channels);
    return [=] {
      cuda::group_norm_backward<T>(t[0].data<T>(), nullptr, t[2].data<float>(), t[2].data<float>(),
                                   t[3].data<float>(), t[3].data<float>(), t[1].data<T>(), nullptr,
                                   dx.data<T>(), dw.data<float>(), dw.data<float>(), nullptr, false,
                                   d);
    };
  }));
}

template <class T>
void add_rows(std::vector<KernelCase>& all, int64_t rows, int64_t channels) {
  const int64_t n = rows * channels;
  const std::string of = fmt::format("{} x {}, {}", rows, channels, type_name<T>());
  const auto bytes = [n](int64_t tensors) { return double(tensors * n * int64_t(sizeof(T))); };
  all.push_back(memory("softmax " + of + ", forward", bytes(2), [=]() -> Call {
    const Tensor x = on_device<T>(n), y = on_device<T>(n);
    return [=] { cuda::softmax_forward<T>(x.data<T>(), y.data<T>(), rows, channels); };
  }));
  const LayerNormDims d{rows, channels};
  all.push_back(memory("layer norm " + of + ", forward", bytes(2), [=]() -> Call {
    const Tensor x = on_device<T>(n), y = on_device<T>(n), w = on_device<float>(channels),
                 m = on_device<float>(rows);
    return [=] {
      cuda::layer_norm_forward<T>(x.data<T>(), w.data<float>(), w.data<float>(), y.data<T>(),
                                  m.data<float>(), m.data<float>(), d);
    };
  }));
  all.push_back(memory("layer norm " + of + ", backward", bytes(3), [=]() -> Call {
    const Tensor x = on_device<T>(n), dy = on_device<T>(n), dx = on_device<T>(n),
                 w = on_device<float>(channels), m = on_device<float>(rows);
    return [=] {
      cuda::layer_norm_backward<T>(x.data<T>(), w.data<float>(), m.data<float>(), m.data<float>(),
                                   dy.data<T>(), nullptr, dx.data<T>(), w.data<float>(),
                                   w.data<float>(), false, d);
    };
  }));
  all.push_back(memory("column sum " + of, bytes(1), [=]() -> Call {
    const Tensor x = on_device<T>(n), y = on_device<float>(channels);
    return [=] { cuda::column_sum<T>(x.data<T>(), y.data<float>(), rows, channels, false); };
  }));
  all.push_back(memory("SiLU " + of + ", backward", bytes(3), [=]() -> Call {
    const Tensor x = on_device<T>(n), dy = on_device<T>(n), dx = on_device<T>(n);
    return [=] {
      cuda::activation_backward<T>(x.data<T>(), dy.data<T>(), dx.data<T>(), n, Activation::silu);
    };
  }));
  all.push_back(memory("GEGLU " + of + ", forward", bytes(3), [=]() -> Call {
    const Tensor x = on_device<T>(2 * n), y = on_device<T>(n);
    return [=] { cuda::geglu_forward<T>(x.data<T>(), y.data<T>(), rows, channels); };
  }));
  all.push_back(memory("concat " + of, bytes(4), [=]() -> Call {
    const Tensor a = on_device<T>(n), b = on_device<T>(n), y = on_device<T>(2 * n);
    return [=] {
      cuda::join_channels<T>(a.data<T>(), channels, b.data<T>(), channels, y.data<T>(), rows);
    };
  }));
}

/// Finite ones: with others an update does nothing.
Tensor update_numbers() {
  return from_vector<double>({1e-4, 0.999, 1, 1, 1}, {5}, Device{DeviceType::cuda, 0});
}

KernelCase look_up_backward(int64_t count, int64_t rows, int64_t dim) {
  return memory(fmt::format("embedding {} of {} x {}, bf16, backward", count, rows, dim),
                double(count) * (8 + 2 * double(dim)) + double(4 * rows * dim), [=]() -> Call {
                  std::vector<int64_t> tokens(static_cast<std::size_t>(count));
                  for (std::size_t i = 0; i < tokens.size(); ++i)
                    tokens[i] = int64_t(i) * 37 % rows;
                  const Tensor dy = on_device<B>(count * dim),
                               dtable = on_device<float>(rows * dim),
                               index = from_vector<int64_t>(tokens, {count}, {DeviceType::cuda, 0});
                  return [=] {
                    cuda::embedding_backward<B>(dy.data<B>(), index.data<int64_t>(),
                                                dtable.data<float>(), count, rows, dim, false);
                  };
                });
}

KernelCase adamw(int64_t n) {
  return memory(fmt::format("AdamW + average + cast, {:.1f} M", mega(n)),
                double(n) * (5 + 4 + 0.5) * 4, [=]() -> Call {
                  const auto f = [=] { return on_device<float>(n); };
                  const Tensor w = f(), g = f(), m = f(), v = f(), e = f(), c = on_device<B>(n),
                               numbers = update_numbers();
                  return [=] {
                    cuda::adamw_step<float>(
                        w.data<float>(), g.data<float>(), m.data<float>(), v.data<float>(),
                        e.data<float>(), c.data<B>(), n,
                        reinterpret_cast<const UpdateNumbers*>(numbers.data<double>()),
                        {.clip_norm = 1});
                  };
                });
}

KernelCase squares(int64_t n) {
  return memory(
      fmt::format("norm of the gradient, {:.1f} M", mega(n)), double(4 * n), [=]() -> Call {
        const Tensor g = on_device<float>(n), numbers = on_device<double>(5);
        return [=] {
          cuda::gradient_squares<float>(g.data<float>(), n,
                                        reinterpret_cast<UpdateNumbers*>(numbers.data<double>()));
        };
      });
}

KernelCase noise(int64_t batch, int64_t per_item) {
  return memory(fmt::format("normal noise, {} x {}", batch, per_item), double(4 * batch * per_item),
                [=]() -> Call {
                  const Tensor y = on_device<float>(batch * per_item),
                               index = on_device<int64_t>(batch);
                  return [=] {
                    cuda::fill_normal<float>(y.data<float>(), index.data<int64_t>(), batch,
                                             per_item, {0, Purpose::kTest});
                  };
                });
}

KernelCase noising(int64_t batch, int64_t per_item) {
  const int64_t n = batch * per_item;
  return memory(fmt::format("q_sample, {} x {}, bf16", batch, per_item),
                double(n) * (4 + 4 + 4 + 2), [=]() -> Call {
                  const Tensor x = on_device<float>(n), eps = on_device<float>(n),
                               target = on_device<float>(n), x_t = on_device<B>(n),
                               t = on_device<int64_t>(batch), table = on_device<double>(1000);
                  return [=] {
                    const double* of = table.data<double>();
                    cuda::add_noise<B>(x.data<float>(), eps.data<float>(), t.data<int64_t>(),
                                       {of, of, of, of, 1000}, x_t.data<B>(), target.data<float>(),
                                       batch, per_item);
                  };
                });
}

KernelCase loss(int64_t batch, int64_t per_item) {
  const int64_t n = batch * per_item;
  return memory(fmt::format("weighted error, {} x {}, bf16", batch, per_item), double(n) * (2 + 4),
                [=]() -> Call {
                  const Tensor x = on_device<B>(n), target = on_device<float>(n),
                               per_sample = on_device<float>(batch);
                  return [=] {
                    cuda::weighted_mse_forward<B>(x.data<B>(), target.data<float>(),
                                                  per_sample.data<float>(),
                                                  per_sample.data<float>(), batch, per_item);
                  };
                });
}

KernelCase enlarge(int64_t batch, int64_t size, int64_t channels) {
  const int64_t n = batch * size * size * channels;
  return memory(fmt::format("resize x2 {0} x {1} x {1} x {2}, bf16", batch, size, channels),
                double(n) * 5 * 2, [=]() -> Call {
                  const Tensor x = on_device<B>(n), y = on_device<B>(4 * n);
                  return [=] {
                    cuda::resize_nearest_forward<B>(x.data<B>(), y.data<B>(), 2,
                                                    {batch, size, size, channels});
                  };
                });
}

/// The first update of the paper's network; what makes it ready adds a few launches.
KernelCase update() {
  return {
      .family = "step", .name = "update of ddpm-cifar10, bf16", .sample = 1, .make = []() -> Call {
        TrainConfig c;
        c.model = unet_preset("ddpm-cifar10");
        c.run.device_name = "cuda";
        c.run.precision = Precision::bf16;
        c.run.batch = 128;
        const auto run = std::make_shared<SyntheticRun>(c);
        return [run] { run->update(); };
      }};
}

ConvDims conv(int64_t batch, int64_t size, int64_t in, int64_t out, int64_t kernel = 3,
              int64_t stride = 1) {
  const int64_t pad = kernel / 2;
  return {batch, size, size, in, out, kernel, kernel, stride, pad, pad, pad, pad};
}

}  // namespace

std::vector<KernelCase> kernel_cases() {
  std::vector<KernelCase> all;
  for (const int transposes : {2, 0, 1, 3})
    all.push_back(product({.m = 4096,
                           .n = 4096,
                           .k = 4096,
                           .trans_a = (transposes & 1) != 0,
                           .trans_b = (transposes & 2) != 0}));
  all.push_back(product({.m = 4096, .n = 768, .k = 256, .trans_b = true}));
  constexpr int64_t kAll = 0;
  all.push_back(product({.m = 2048, .n = 2048, .k = 1024, .trans_b = true}, kAll));
  all.push_back(linear_end(8192, 1280, 320, false));
  all.push_back(linear_end(8192, 2560, 320, true));
  for (const ConvDims& d :
       {conv(128, 32, 128, 128), conv(128, 16, 256, 256), conv(128, 8, 512, 256),
        conv(128, 32, 384, 128, 1), conv(2, 64, 320, 320), conv(128, 28, 64, 64)})
    for (const ConvPass pass :
         {ConvPass::forward, ConvPass::backward_data, ConvPass::backward_weight})
      all.push_back(convolution(d, pass));
  for (const ConvDims& d : {conv(128, 32, 3, 128), conv(128, 32, 128, 3), conv(8, 256, 3, 128),
                            conv(8, 256, 128, 3), conv(128, 32, 128, 128, 3, 2)})
    for (const ConvPass pass :
         {ConvPass::forward, ConvPass::backward_data, ConvPass::backward_weight})
      all.push_back(convolution(d, pass));
  for (const bool backward : {false, true}) {
    all.push_back(attention(128, 256, 256, 1, 256, false, backward));
    all.push_back(attention(2, 4096, 4096, 8, 40, false, backward));
    all.push_back(attention(2, 1024, 1024, 8, 80, false, backward));
    all.push_back(attention(2, 256, 256, 8, 160, false, backward));
    all.push_back(attention(2, 4096, 77, 8, 40, false, backward));
    all.push_back(attention(8, 77, 77, 12, 64, true, backward));
  }
  all.push_back(attention(1, 4096, 4096, 1, 512, false, false));
  all.push_back(product<float>({.m = 4096, .n = 4096, .k = 4096, .trans_b = true}));
  for (const ConvDims& d : {conv(128, 32, 128, 128), conv(128, 28, 64, 64)})
    for (const ConvPass pass :
         {ConvPass::forward, ConvPass::backward_data, ConvPass::backward_weight})
      all.push_back(convolution<float>(d, pass));
  for (const bool backward : {false, true})
    all.push_back(attention<float>(128, 256, 256, 1, 256, false, backward));
  for (const bool backward : {false, true}) all.push_back(upsampled(128, 16, 256, backward));
  add_norms<B>(all, {16, 1024, 128, 32, 1e-5, true});
  add_norms<B>(all, {16, 256, 256, 32, 1e-5, true});
  add_norms<float>(all, {16, 1024, 128, 32, 1e-5, true});
  add_norms<float>(all, {16, 1024, 384, 32, 1e-5, true});
  add_rows<B>(all, 4096, 320);
  add_rows<float>(all, 4096, 320);
  all.push_back(look_up_backward(16 * 77, 8192, 768));
  all.push_back(adamw(1 << 20));
  all.push_back(squares(1 << 20));
  all.push_back(noise(128, 3072));
  all.push_back(noising(128, 3072));
  all.push_back(loss(128, 3072));
  all.push_back(enlarge(16, 16, 256));
  all.push_back(update());
  return all;
}

#else

std::vector<KernelCase> kernel_cases() { return {}; }

#endif

}  // namespace noisette
