#include "train/eval.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>

#include "framework/autograd/autograd.h"
#include "framework/core/check.h"
#include "framework/core/replay.h"
#include "framework/ops/elementwise.h"
#include "kernels/random.h"
#include "train/recorded.h"

namespace noisette {
namespace {

using namespace diffusion;
constexpr int64_t kBands = 10;

/// One evaluation of the network: what it is asked, and how much its answer counts.
struct Job {
  int64_t slot = 0;   // place of the image among those evaluated
  int64_t image = 0;  // its number in the split
  int64_t t = 0;
  double bound_weight = 0, band_weight = 0;  // 0: not part of that metric
};

/// What one evaluation gave, in nats per element and squared error per element.
struct Answer {
  double bound = 0, loss = 0;
};

/// Everything by timestep, in doubles.
struct Tables {
  Schedule schedule;
  std::vector<VlbTerm> terms;  // from t = 1
  double decoder_log_std;
  EvalModel model;

  explicit Tables(const EvalModel& m)
      : schedule(m.schedule),
        decoder_log_std(diffusion::decoder_log_std(schedule, m.variance)),
        model(m) {
    terms.resize(std::size_t(schedule.steps()));
    for (int64_t t = 1; t < schedule.steps(); ++t)
      terms[std::size_t(t)] = vlb_term(schedule, t, m.variance);
  }
};

/// The evaluations that images [begin, end) need.
std::vector<Job> jobs_for(const std::vector<int64_t>& images, int64_t begin, int64_t end,
                          int64_t steps, const EvalOptions& o) {
  const int64_t count = o.timesteps > 0 ? o.timesteps : steps;
  const auto bound_edges = growing_stretches(1, steps, count);
  // Each band has its own stretches, so that a draw never stands for two bands.
  std::vector<int64_t> band_edges = {0};
  for (int64_t b = 0; b < kBands; ++b) {
    const int64_t from = (b * steps + kBands - 1) / kBands;
    const int64_t to = ((b + 1) * steps + kBands - 1) / kBands;
    if (from == to) continue;
    const auto edges = equal_stretches(from, to, std::max<int64_t>(count / kBands, 1));
    band_edges.insert(band_edges.end(), edges.begin() + 1, edges.end());
  }
  std::vector<Job> jobs;
  for (auto slot = std::size_t(begin); slot < std::size_t(end); ++slot) {
    std::map<int64_t, Job> own;  // by timestep: what both metrics ask for is computed once
    const auto job = [&](int64_t t) -> Job& {
      Job& j = own[t];
      j.slot = int64_t(slot);
      j.image = images[slot];
      j.t = t;
      return j;
    };
    if (o.bound) {
      job(0).bound_weight = 1;
      for (const TimestepDraw& d : draw_timesteps(bound_edges, o.seed, images[slot]))
        job(d.t).bound_weight += d.weight;
    }
    if (o.bands)
      for (const TimestepDraw& d : draw_timesteps(band_edges, o.seed, images[slot]))
        job(d.t).band_weight += d.weight;
    for (const auto& [t, j] : own) jobs.push_back(j);
  }
  return jobs;
}

/// What a batch of jobs shows the network.
struct Inputs {
  Tensor x0, eps, x_t, t, labels;
};

Inputs inputs_of(std::span<const Job> jobs, const DataSplit& data, const Tables& tables,
                 uint64_t seed) {
  const auto n = int64_t(jobs.size());
  const DatasetInfo& info = data.info();
  const Shape shape{n, info.height, info.width, info.channels};
  std::vector<int64_t> numbers;
  for (const Job& j : jobs) numbers.push_back(j.image);
  const Tensor pixels = empty(shape, DType::u8);
  data.read_images(numbers, pixels.span<uint8_t>());
  Inputs in{.x0 = image_to_signed(pixels, DType::f32),
            .eps = empty(shape, DType::f32),
            .x_t = empty(shape, DType::f32),
            .t = empty({n}, DType::i64),
            .labels = {}};
  if (tables.model.num_class_embeds > 0) in.labels = empty({n}, DType::i64);
  const int64_t item = info.image_bytes();
  // The kernel and not the op: every sample has a key of its own, and one parallel region is enough
  // for all.
  const float* x0 = in.x0.data<float>();
  float *eps = in.eps.data<float>(), *x_t = in.x_t.data<float>();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < n; ++i) {
    const Job& j = jobs[std::size_t(i)];
    cpu::fill_normal(eps + i * item, &j.image, 1, item, {seed, Purpose::kEval, uint32_t(j.t)});
    const double signal = tables.schedule.signal(j.t), noise = tables.schedule.noise(j.t);
    for (int64_t e = i * item; e < (i + 1) * item; ++e)
      x_t[e] = float(signal * double(x0[e]) + noise * double(eps[e]));
  }
  for (int64_t i = 0; i < n; ++i) {
    const Job& j = jobs[std::size_t(i)];
    in.t.data<int64_t>()[i] = j.t;
    if (!in.labels.defined()) continue;
    const int32_t label = data.label(j.image);
    in.labels.data<int64_t>()[i] = label < 0 ? tables.model.num_class_embeds - 1 : label;
  }
  return in;
}

/// Sums over one image in a fixed order, so that the batch it came in leaves no trace.
Answer judge(const Tables& tables, int64_t t, std::span<const float> x0, std::span<const float> eps,
             std::span<const float> x_t, std::span<const float> out) {
  const double alpha_bar = tables.schedule.alpha_bar(t);
  const FromOutput to_x0 = x0_from(tables.model.target, alpha_bar);
  const TargetMix mix = target_mix(tables.model.target, alpha_bar);
  const double clip = tables.model.clip.value_or(std::numeric_limits<double>::infinity());
  double error = 0, decoder = 0, loss = 0;
  for (std::size_t e = 0; e < x0.size(); ++e) {
    const double x = double(x0[e]), d = double(out[e]) - (mix.x0 * x + mix.eps * double(eps[e]));
    loss += d * d;
    const double predicted = std::clamp(to_x0(double(x_t[e]), double(out[e])), -clip, clip);
    error += (x - predicted) * (x - predicted);
    if (t == 0) decoder += decoder_nll(x, predicted, tables.decoder_log_std);
  }
  const auto n = double(x0.size());
  const VlbTerm& term = tables.terms[std::size_t(t)];
  return {.bound = t == 0 ? decoder / n : term.offset + term.weight * error / n, .loss = loss / n};
}

/// The network for x, t and labels of the host. On a device batches of one size are replayed.
class Network {
 public:
  Network(const EvalModel& model, int64_t batch)
      : device_(model.device),
        batch_(batch),
        whole_(work(model), model.graph),
        rest_(work(model), model.graph) {}

  /// f32, on the CPU.
  Tensor operator()(const Inputs& in) {
    const auto there = [&](const Tensor& x) { return x.defined() ? to_device(x, device_) : x; };
    Replay& replay = in.t.numel() == batch_ ? whole_ : rest_;
    return to_device(replay({there(in.x_t), there(in.t), there(in.labels)})[0], kCpu);
  }
  void tell() const {
    if (!warn_if_not_recorded(whole_.state(), "the network"))
      warn_if_not_recorded(rest_.state(), "the network on the last batch of a group");
  }

 private:
  static Replay::Work work(const EvalModel& model) {
    return [network = model.network, dtype = model.dtype](const std::vector<Tensor>& in) {
      return std::vector<Tensor>{cast(network(cast(in[0], dtype), in[1], in[2]), DType::f32)};
    };
  }

  Device device_;
  int64_t batch_;
  Replay whole_, rest_;
};

std::vector<Answer> answers_of(std::span<const Job> jobs, const DataSplit& data,
                               const Tables& tables, Network& network, uint64_t seed) {
  const Inputs in = inputs_of(jobs, data, tables, seed);
  const Tensor out = network(in);
  check(out.shape() == in.x0.shape(), "[eval] the network answers {} to images {}", out.shape(),
        in.x0.shape());
  const auto item = std::size_t(data.info().image_bytes());
  const auto part = [item](const Tensor& x, std::size_t i) {
    return std::span<const float>(x.span<float>()).subspan(i * item, item);
  };
  std::vector<Answer> answers(jobs.size());
#pragma omp parallel for schedule(static)
  for (std::size_t i = 0; i < jobs.size(); ++i)
    answers[i] =
        judge(tables, jobs[i].t, part(in.x0, i), part(in.eps, i), part(in.x_t, i), part(out, i));
  return answers;
}

double prior_of(const DataSplit& data, int64_t image, const Schedule& schedule) {
  std::vector<uint8_t> pixels(std::size_t(data.info().image_bytes()));
  data.read_images(std::array{image}, pixels);
  std::array<double, 256> kl;
  for (int k = 0; k < 256; ++k) kl[std::size_t(k)] = prior_kl(schedule, 2 * k / 255.0 - 1);
  double sum = 0;
  for (const uint8_t p : pixels) sum += kl[p];
  return sum / double(pixels.size());
}

/// Sums over the evaluations so far, in the order of the images.
struct Sums {
  std::vector<double> prior, kl, decoder;  // by image, bits per dimension
  std::vector<double> band_loss = std::vector<double>(kBands), band_weight = band_loss;

  void add(const Job& j, const Answer& a, int64_t steps) {
    (j.t == 0 ? decoder : kl)[std::size_t(j.slot)] += j.bound_weight * bits(a.bound);
    const auto band = std::size_t(j.t * kBands / steps);
    band_loss[band] += j.band_weight * a.loss;
    band_weight[band] += j.band_weight;
  }
};

BoundResult bound_of(const Sums& s, bool exact) {
  BoundResult r{.exact = exact};
  const auto n = double(s.prior.size());
  for (std::size_t i = 0; i < s.prior.size(); ++i) {
    r.prior += s.prior[i] / n;
    r.kl += s.kl[i] / n;
    r.decoder += s.decoder[i] / n;
  }
  r.bits = r.prior + r.kl + r.decoder;
  double squares = 0;
  for (std::size_t i = 0; i < s.prior.size(); ++i)
    squares += std::pow(s.prior[i] + s.kl[i] + s.decoder[i] - r.bits, 2);
  r.standard_error = n > 1 ? std::sqrt(squares / (n - 1) / n) : std::nan("");
  return r;
}

BandsResult bands_of(const Sums& s, bool exact) {
  BandsResult r{.loss = 0, .bands = {}, .exact = exact};
  double weight = 0;
  for (std::size_t b = 0; b < s.band_loss.size(); ++b) {
    r.bands.push_back(s.band_loss[b] / s.band_weight[b]);
    r.loss += s.band_loss[b];
    weight += s.band_weight[b];
  }
  r.loss /= weight;
  return r;
}

void check_labels(const EvalModel& model, const DataSplit& data,
                  const std::vector<int64_t>& images) {
  if (model.num_class_embeds == 0) return;
  for (const int64_t i : images)
    check_user(data.label(i) < model.num_class_embeds,
               "[eval] image {} of {} has label {}; the model knows {} labels", i,
               data.dataset().origin(), data.label(i), model.num_class_embeds);
}

}  // namespace

std::vector<int64_t> equal_stretches(int64_t begin, int64_t end, int64_t count) {
  const int64_t n = std::clamp<int64_t>(count, 1, std::max<int64_t>(end - begin, 1));
  std::vector<int64_t> edges;
  for (int64_t i = 0; i <= n; ++i) edges.push_back(begin + (end - begin) * i / n);
  return edges;
}

std::vector<int64_t> growing_stretches(int64_t begin, int64_t end, int64_t count) {
  const int64_t n = std::clamp<int64_t>(count, 1, std::max<int64_t>(end - begin, 1));
  std::vector<int64_t> edges = {begin};
  for (int64_t i = 1; i <= n; ++i) {
    const double share = double(i) / double(n);
    const auto wanted = begin + int64_t(std::llround(double(end - begin) * share * share));
    edges.push_back(std::clamp(wanted, std::min(edges.back() + 1, end), end - (n - i)));
  }
  return edges;
}

std::vector<TimestepDraw> draw_timesteps(const std::vector<int64_t>& edges, uint64_t seed,
                                         int64_t image) {
  // The stream after the timesteps' own: Purpose::kEval with layer = t belongs to the noise at t.
  constexpr uint32_t kDraws = 0xffffff;
  std::vector<TimestepDraw> draws;
  for (std::size_t i = 0; i + 1 < edges.size(); ++i) {
    const auto length = uint32_t(edges[i + 1] - edges[i]);
    if (length == 0) continue;
    const PhiloxBlock b =
        philox_block({seed, Purpose::kEval, kDraws}, uint64_t(image), uint32_t(i));
    draws.push_back({edges[i] + int64_t(bounded(b[0], length)), double(length)});
  }
  return draws;
}

EvalResult evaluate(const EvalModel& model, const DataSplit& data, const EvalOptions& o) {
  check_user(data.size() > 0, "[eval] the split '{}' of {} is empty", data.name(),
             data.dataset().origin());
  const NoGrad no_grad;
  const Tables tables(model);
  Network network(model, o.batch);
  const int64_t steps = tables.schedule.steps();
  const int64_t n = o.images > 0 ? std::min(o.images, data.size()) : data.size();
  std::vector<int64_t> images;
  for (int64_t i = 0; i < n; ++i) images.push_back(i * data.size() / n);
  check_labels(model, data, images);
  check_user(
      !o.bound || std::isfinite(x0_from(model.target, tables.schedule.alpha_bar(steps - 1)).x),
      "[eval] the target {} says nothing about the image where the schedule ends in pure noise; "
      "leave out the bound",
      config::name_of(model.target));
  Sums sums;
  sums.kl.resize(images.size());
  sums.decoder.resize(images.size());
  if (o.bound)
    for (const int64_t image : images)
      sums.prior.push_back(bits(prior_of(data, image, tables.schedule)));
  EvalResult r{.images = n, .evaluations = 0, .bound = {}, .bands = {}};
  constexpr int64_t kGroup = 64;  // images whose evaluations are listed at once
  for (int64_t first = 0; first < n; first += kGroup) {
    const std::vector<Job> jobs = jobs_for(images, first, std::min(first + kGroup, n), steps, o);
    for (std::size_t begin = 0; begin < jobs.size(); begin += std::size_t(o.batch)) {
      const std::size_t count = std::min(std::size_t(o.batch), jobs.size() - begin);
      const auto some = std::span(jobs).subspan(begin, count);
      const std::vector<Answer> answers = answers_of(some, data, tables, network, o.seed);
      for (std::size_t i = 0; i < count; ++i) sums.add(some[i], answers[i], steps);
      if (o.progress)
        o.progress(double(first) + double(begin + count) / double(jobs.size()) *
                                       double(std::min(kGroup, n - first)),
                   n);
    }
    r.evaluations += int64_t(jobs.size());
  }
  network.tell();
  const bool exact = o.timesteps == 0 || o.timesteps >= steps;
  if (o.bound) r.bound = bound_of(sums, exact);
  if (o.bands) r.bands = bands_of(sums, exact);
  return r;
}

}  // namespace noisette
