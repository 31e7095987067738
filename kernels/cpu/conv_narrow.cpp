#include "kernels/cpu/conv_narrow.h"

#include <algorithm>

#include "kernels/cpu/lanes.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/vector_math.h"

namespace noisette::cpu {
namespace {

using lanes::kLanes;
using lanes::Vec;

inline float sum_lanes(Vec v) {
  float lane[kLanes];
  lanes::write(lane, v);
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lane[i] += lane[i + half];
  return lane[0];
}

/// J neighbouring outputs of a row that lie under the same kernel columns [first_b, last_b). For
/// each kernel row, the image and the weights are read as one run of consecutive values.
template <int O, int J, class T>
void forward_pixels(const T* x, const float* weight, const float* bias, const T* residual, T* y,
                    int64_t i, int64_t j, int64_t first_b, int64_t last_b, const ConvDims& d) {
  const int64_t weight_row = d.kernel_w * d.in_c, weight_filter = d.kernel_h * weight_row;
  const int64_t first_a = std::max<int64_t>(0, d.pad_top - i);
  const int64_t last_a = std::min(d.kernel_h, d.in_h + d.pad_top - i);
  Vec sum[J][O] = {};
  for (int64_t a = first_a; a < last_a; ++a) {
    const T* px = x + ((i + a - d.pad_top) * d.in_w + j + first_b - d.pad_left) * d.in_c;
    const float* pw = weight + a * weight_row + first_b * d.in_c;
    for (int64_t k = 0; k < (last_b - first_b) * d.in_c; k += kLanes) {
      Vec w[O];
      for (int o = 0; o < O; ++o) w[o] = lanes::read(pw + o * weight_filter + k);
      for (int p = 0; p < J; ++p) {
        const Vec v = lanes::read(px + p * d.in_c + k);
        for (int o = 0; o < O; ++o) sum[p][o] += v * w[o];
      }
    }
  }
  for (int p = 0; p < J; ++p)
    for (int o = 0; o < O; ++o) {
      const int64_t at = (j + p) * O + o;
      float value = sum_lanes(sum[p][o]);
      if (bias != nullptr) value += bias[o];
      if (residual != nullptr) value += float(residual[at]);
      store(y[at], value);
    }
}

/// One row of outputs: single ones at the borders, kAbreast at a time in between.
template <int O, class T>
void forward_row(const T* x, const float* weight, const float* bias, const T* residual, T* y,
                 int64_t i, const ConvDims& d) {
  constexpr int kAbreast = 4;
  const int64_t width = d.out_w();
  const int64_t inside_end = d.in_w + d.pad_left - d.kernel_w + 1;  // no kernel column sticks out
  for (int64_t j = 0; j < width;) {
    if (j >= d.pad_left && j + kAbreast <= std::min(width, inside_end)) {
      forward_pixels<O, kAbreast>(x, weight, bias, residual, y, i, j, 0, d.kernel_w, d);
      j += kAbreast;
    } else {
      const int64_t first_b = std::max<int64_t>(0, d.pad_left - j);
      const int64_t last_b = std::min(d.kernel_w, d.in_w + d.pad_left - j);
      forward_pixels<O, 1>(x, weight, bias, residual, y, i, j, first_b, last_b, d);
      ++j;
    }
  }
}

template <int O, class T>
void forward_rows(const T* x, const float* weight, const float* bias, const T* residual, T* y,
                  const ConvDims& d) {
  const int64_t x_image = d.in_h * d.in_w * d.in_c, y_row = d.out_w() * O;
  parallel_items(d.batch * d.out_h(), d.x_numel(), [&](int64_t row) {
    const int64_t n = row / d.out_h(), i = row % d.out_h();
    forward_row<O>(x + n * x_image, weight, bias,
                   residual != nullptr ? residual + row * y_row : nullptr, y + row * y_row, i, d);
  });
}

template <class T>
void forward_f32_weights(const T* x, const float* weight, const float* bias, const T* residual,
                         T* y, const ConvDims& d) {
  switch (d.out_c) {
    case 1:
      return forward_rows<1>(x, weight, bias, residual, y, d);
    case 2:
      return forward_rows<2>(x, weight, bias, residual, y, d);
    case 3:
      return forward_rows<3>(x, weight, bias, residual, y, d);
    default:
      return forward_rows<4>(x, weight, bias, residual, y, d);
  }
}

/// sums[t][c] += x[pixel, c] * dy[pixel + offset[t]] for B taps t and one vector of channels at x,
/// over an image whose cotangent is padded so that every tap of every pixel exists. A tap is a
/// kernel position and an output channel.
template <int B, class T>
void add_taps(const T* x, const float* padded, int64_t padded_row, const int64_t* offset,
              float* sums, const ConvDims& d) {
  Vec sum[B];
  for (int t = 0; t < B; ++t) sum[t] = lanes::read(sums + t * d.in_c);
  for (int64_t h = 0; h < d.in_h; ++h)
    for (int64_t w = 0; w < d.in_w; ++w) {
      const Vec v = lanes::read(x + (h * d.in_w + w) * d.in_c);
      const float* p = padded + h * padded_row + w * d.out_c;
      for (int t = 0; t < B; ++t) sum[t] += v * p[offset[t]];
    }
  for (int t = 0; t < B; ++t) lanes::write(sums + t * d.in_c, sum[t]);
}

/// The gradient of one image's weights, added to sums [taps, in_c]; taps ordered a, b, o.
template <class T>
void add_image(const T* x, const float* padded, int64_t padded_row, const int64_t* offset,
               int64_t taps, float* sums, const ConvDims& d) {
  for (int64_t c = 0; c < d.in_c; c += kLanes) {
    int64_t t = 0;
    const auto add = [&]<int B>() {
      for (; t + B <= taps; t += B)
        add_taps<B>(x + c, padded, padded_row, offset + t, sums + t * d.in_c + c, d);
    };
    add.template operator()<9>();
    add.template operator()<3>();
    add.template operator()<1>();
  }
}

}  // namespace

template <class T>
void narrow_forward(const T* x, const T* weight, const float* bias, const T* residual, T* y,
                    const ConvDims& d) {
  Scratch scratch;
  float* w = scratch.take<float>(d.weight_numel());
  for (int64_t i = 0; i < d.weight_numel(); ++i) w[i] = float(weight[i]);
  forward_f32_weights(x, w, bias, residual, y, d);
}

template <class T>
void narrow_backward_data(const T* dy, const T* weight, const T* add, T* dx, const ConvDims& d) {
  const ConvDims mirrored = {.batch = d.batch,
                             .in_h = d.out_h(),
                             .in_w = d.out_w(),
                             .in_c = d.out_c,
                             .out_c = d.in_c,
                             .kernel_h = d.kernel_h,
                             .kernel_w = d.kernel_w,
                             .stride = 1,
                             .pad_top = d.kernel_h - 1 - d.pad_top,
                             .pad_left = d.kernel_w - 1 - d.pad_left,
                             .pad_bottom = d.kernel_h - 1 - d.pad_bottom,
                             .pad_right = d.kernel_w - 1 - d.pad_right};
  Scratch scratch;
  float* w = scratch.take<float>(d.weight_numel());
  const int64_t taps = d.kernel_h * d.kernel_w;
  for (int64_t o = 0; o < d.out_c; ++o)
    for (int64_t t = 0; t < taps; ++t)
      for (int64_t c = 0; c < d.in_c; ++c)
        w[(c * taps + taps - 1 - t) * d.out_c + o] = float(weight[(o * taps + t) * d.in_c + c]);
  forward_f32_weights(dy, w, static_cast<const float*>(nullptr), add, dx, mirrored);
}

template <class T>
void narrow_backward_weight(const T* x, const T* dy, float* dweight, bool accumulate,
                            const ConvDims& d) {
  // Pixel (h, w) of the image meets tap (a, b) in output (h + pad_top - a, w + pad_left - b). In
  // the padded cotangent, output (i, j) is at (i + kernel_h - 1, j + kernel_w - 1).
  const int64_t out_h = d.out_h(), out_w = d.out_w();
  const int64_t padded_h = d.in_h + d.pad_top + d.kernel_h - 1;
  const int64_t padded_w = d.in_w + d.pad_left + d.kernel_w - 1;
  const int64_t padded_row = padded_w * d.out_c, padded_size = padded_h * padded_row;
  const int64_t taps = d.kernel_h * d.kernel_w * d.out_c;
  const int64_t per_chunk = ceil_div(d.batch, 64), chunks = ceil_div(d.batch, per_chunk);

  Scratch scratch;
  int64_t* offset = scratch.take<int64_t>(taps);
  for (int64_t t = 0; t < taps; ++t) {
    const int64_t a = t / (d.kernel_w * d.out_c), b = t / d.out_c % d.kernel_w, o = t % d.out_c;
    offset[t] = (d.pad_top + d.kernel_h - 1 - a) * padded_row +
                (d.pad_left + d.kernel_w - 1 - b) * d.out_c + o;
  }
  float* padded = scratch.take<float>(chunks * padded_size);
  float* sums = scratch.take<float>(chunks * taps * d.in_c);
  parallel_items(chunks, d.x_numel(), [&](int64_t chunk) {
    float* mine = padded + chunk * padded_size;
    float* sum = sums + chunk * taps * d.in_c;
    std::fill_n(mine, padded_size, 0.0f);
    std::fill_n(sum, taps * d.in_c, 0.0f);
    for (int64_t n = chunk * per_chunk; n < std::min(d.batch, (chunk + 1) * per_chunk); ++n) {
      for (int64_t i = 0; i < std::min(out_h, padded_h - d.kernel_h + 1); ++i)
        for (int64_t j = 0; j < std::min(out_w, padded_w - d.kernel_w + 1); ++j)
          for (int64_t o = 0; o < d.out_c; ++o)
            mine[(i + d.kernel_h - 1) * padded_row + (j + d.kernel_w - 1) * d.out_c + o] =
                float(dy[((n * out_h + i) * out_w + j) * d.out_c + o]);
      add_image(x + n * d.in_h * d.in_w * d.in_c, mine, padded_row, offset, taps, sum, d);
    }
  });

  const int64_t positions = d.kernel_h * d.kernel_w;
  for (int64_t t = 0; t < taps; ++t) {
    float* out = dweight + ((t % d.out_c) * positions + t / d.out_c) * d.in_c;
    if (!accumulate) std::fill_n(out, d.in_c, 0.0f);
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const float* sum = sums + (chunk * taps + t) * d.in_c;
      for (int64_t c = 0; c < d.in_c; ++c) out[c] += sum[c];
    }
  }
}

#define NOISETTE_INSTANTIATE(T)                                                                  \
  template void narrow_forward(const T*, const T*, const float*, const T*, T*, const ConvDims&); \
  template void narrow_backward_data(const T*, const T*, const T*, T*, const ConvDims&);         \
  template void narrow_backward_weight(const T*, const T*, float*, bool, const ConvDims&);
NOISETTE_INSTANTIATE(float)
NOISETTE_INSTANTIATE(bfloat16)
#undef NOISETTE_INSTANTIATE

}  // namespace noisette::cpu
