#include "framework/nn/arena.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "framework/autograd/autograd.h"
#include "framework/core/dispatch.h"
#include "kernels/accumulate.h"
#include "kernels/philox.h"

namespace noisette {
namespace {

constexpr int64_t kAlign = 16;  // elements; 64 bytes of f32

int64_t aligned(int64_t n) { return (n + kAlign - 1) / kAlign * kAlign; }

uint64_t hash_of(std::string_view name) {  // FNV-1a
  uint64_t h = 0xcbf29ce484222325u;
  for (const char c : name) h = (h ^ uint8_t(c)) * 0x100000001b3u;
  return h;
}

/// Half-width of the uniform distribution of a parameter of this shape; weights are [out, kh, kw,
/// in] or [out, in].
double bound_of(const Init& init, const Shape& shape) {
  const double out = double(shape.dim(0));
  const double receptive =
      shape.ndim() < 2 ? 1 : double(shape.numel()) / out / double(shape.dim(-1));
  const double fan_in = init.fan_in_of_bias ? double(init.fan_in_of_bias)
                        : shape.ndim() < 2  ? out
                                            : double(shape.dim(-1)) * receptive;
  if (init.kind == Init::Kind::fan_in) return init.scale / std::sqrt(std::max(fan_in, 1.0));
  const double fan_avg = (fan_in + out * receptive) / 2;
  return std::sqrt(3 * init.scale / std::max(fan_avg, 1.0));
}

template <class T>
void draw(T* x, int64_t n, const Init& init, const Shape& shape, uint64_t seed,
          const std::string& name) {
  const RngKey key{seed, Purpose::kInit};
  const uint64_t index = hash_of(name);
  if (init.kind == Init::Kind::zeros || init.kind == Init::Kind::ones)
    return void(std::fill_n(x, n, T(init.kind == Init::Kind::ones ? 1 : 0)));
  const double bound = init.kind == Init::Kind::normal ? 0 : bound_of(init, shape);
  for (int64_t i = 0; i < n; i += 4) {
    const PhiloxBlock b = philox_block(key, index, uint32_t(i / 4));
    for (int64_t j = 0; j < std::min<int64_t>(4, n - i); ++j) {
      if (init.kind == Init::Kind::normal) {
        const double radius = std::sqrt(-2 * std::log(double(uniform_open(b[j & 2]))));
        const double angle = 2 * M_PI * double(uniform(b[(j & 2) + 1]));
        x[i + j] = T(init.scale * radius * (j & 1 ? std::sin(angle) : std::cos(angle)));
      } else {
        x[i + j] = T(bound * (2 * double(uniform(b[std::size_t(j)])) - 1));
      }
    }
  }
}

}  // namespace

ParameterArena::ParameterArena(Module& module, const ArenaOptions& options) : options_(options) {
  check(options.dtype == DType::f32 || options.dtype == DType::bf16 || options.dtype == DType::f64,
        "[arena] activations are f32, bf16 or f64; got {}", options.dtype);
  module.set_paths();
  const std::vector<Slot> slots = module.slots();
  std::unordered_map<const Parameter*, int64_t> offsets;
  for (const bool matrices : {true, false}) {
    for (const Slot& slot : slots) {
      if ((slot.parameter->shape().ndim() >= 2) != matrices) continue;
      const auto [at, fresh] = offsets.try_emplace(slot.parameter, size_);
      if (fresh) {
        bound_.push_back({slot.parameter, slot.name, size_});
        size_ = aligned(size_ + slot.parameter->shape().numel());
      }
      const int64_t rows = std::max<int64_t>(slot.parameter->shape().dim(0), 1);
      const int64_t row = slot.parameter->shape().numel() / rows;
      check(find(slot.name) == nullptr, "[arena] two parameters are called '{}'", slot.name);
      entries_.push_back(
          {slot.name, slot.shape(), at->second + slot.begin * row, slot.parameter->init()});
    }
    if (matrices) matrices_ = size_;
  }
  const DType full = accumulator_of(options.dtype);
  const auto flat = [&](const char* tag, DType dtype, int64_t n) {
    Tensor t = zeros({n}, dtype, options_.device);
    t.storage()->tag(memory_tag(tag));
    return t;
  };
  master_ = flat("parameters", full, size_);
  if (options.trainable) {
    grad_ = flat("parameter gradients", full, size_);
    m_ = flat("adam m", full, size_);
    v_ = flat("adam v", full, size_);
  }
  if (options.ema) ema_ = flat("ema", full, size_);
  if (options.dtype == DType::bf16) compute_ = flat("bf16 parameters", DType::bf16, matrices_);
  bind();
}

const ParameterArena::Entry* ParameterArena::find(std::string_view name) const {
  const auto at = std::find_if(entries_.begin(), entries_.end(),
                               [&](const Entry& e) { return e.name == name; });
  return at == entries_.end() ? nullptr : &*at;
}

Tensor ParameterArena::view(const Tensor& flat, const Entry& entry) {
  return flat.rows(entry.offset, entry.offset + entry.shape.numel()).view(entry.shape);
}

void ParameterArena::bind() {
  const Tensor& source = weights_ == Weights::ema ? ema_ : master_;
  if (compute_.defined())
    NOISETTE_KERNEL(options_.device, accumulate, compute_.data<bfloat16>(), source.data<float>(),
                    matrices_, false);
  for (const Bound& b : bound_) {
    Parameter& p = *b.parameter;
    const int64_t n = p.shape().numel();
    const bool cast = compute_.defined() && p.shape().ndim() >= 2;
    const Tensor value = (cast ? compute_ : source).rows(b.offset, b.offset + n).view(p.shape());
    p.value_ = grad_.defined() && weights_ == Weights::master
                   ? make_leaf(value, grad_.rows(b.offset, b.offset + n).view(p.shape()), b.name)
                   : value;
  }
}

void ParameterArena::use(Weights weights) {
  check(weights == Weights::master || ema_.defined(),
        "[arena] the average of the weights was asked for, but this arena keeps none");
  weights_ = weights;
  bind();
}

void ParameterArena::initialize(uint64_t seed) {
  if (options_.device.is_meta()) return;
  // Drawn on the host, so that the numbers are the same on every device.
  const Tensor host = options_.device.is_cpu() ? master_ : zeros({size_}, master_.dtype());
  for (const Entry& e : entries_) {
    const Tensor x = view(host, e);
    if (x.dtype() == DType::f64)
      draw(x.data<double>(), x.numel(), e.init, e.shape, seed, e.name);
    else
      draw(x.data<float>(), x.numel(), e.init, e.shape, seed, e.name);
  }
  if (!options_.device.is_cpu()) copy_in(host.raw(), master_);
  if (ema_.defined()) copy(master_, ema_);
  for (const Tensor& t : {m_, v_})
    if (t.defined()) fill(t, 0);
  use(Weights::master);
}

void ParameterArena::reset_grads() {
  for (const Bound& b : bound_)
    if (b.parameter->value_.needs_grad()) reset_grad(b.parameter->value_);
}

std::vector<std::string> ParameterArena::finish_grads() {
  std::vector<std::string> missing;
  for (const Bound& b : bound_) {
    const auto& node = b.parameter->value_.node();
    if (!node || node->written) continue;
    missing.push_back(b.name);
    fill(node->grad, 0);
    node->written = true;
  }
  return missing;
}

}  // namespace noisette
