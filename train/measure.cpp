#include "train/measure.h"

#include <algorithm>
#include <chrono>

#include "framework/autograd/autograd.h"
#include "framework/core/dispatch.h"
#include "framework/optim/adamw.h"
#include "framework/report/sysinfo.h"
#include "framework/report/table.h"
#include "kernels/philox.h"
#include "models/unet/unet.h"
#include "train/card_plan.h"
#include "train/micro_batch.h"
#include "train/precision.h"
#include "train/sampling.h"
#include "train/task.h"

namespace noisette {
namespace {

using Clock = std::chrono::steady_clock;

/// Random pixels and labels, or none of either on meta.
Batch synthetic_batch(const TrainConfig& c, int64_t n, Device device) {
  const int64_t size = c.model.sample_size;
  const Shape shape{n, size, size, c.model.in_channels};
  Batch batch;
  if (c.model.num_class_embeds > 0) batch.labels = zeros({n}, DType::i64, device);
  if (device.is_meta()) {
    batch.images = empty(shape, DType::u8, device);
    batch.sample_index = empty({n}, DType::i64, device);
    return batch;
  }
  std::vector<uint8_t> pixels(std::size_t(shape.numel()));
  std::vector<int64_t> index;
  for (std::size_t i = 0; i < pixels.size(); ++i)
    pixels[i] = uint8_t(philox_u64({0, Purpose::kTest}, uint64_t(i)));
  for (int64_t i = 0; i < n; ++i) index.push_back(sample_index(0, i));
  batch.images = from_vector(pixels, shape, device);
  batch.sample_index = from_vector(index, {n}, device);
  return batch;
}

/// Waits for a device, so that a clock means something.
void wait_for(Device device) {
  if (device.type == DeviceType::cuda) NOISETTE_CUDA_CALL(synchronize);
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v.empty() ? 0 : v[v.size() / 2];
}

/// `run_eagerly` does the same kernel by kernel, for the profile.
template <class F, class G>
StepMeasurement measure(Device device, int64_t steps, int64_t warmup, F&& run, G&& run_eagerly) {
  StepMeasurement m;
  for (int64_t i = 0; i < warmup; ++i) run();
  wait_for(device);
  Allocator::of(device).reset_peak();
  for (int64_t i = 0; i < steps; ++i) {
    const auto start = Clock::now();
    run();
    wait_for(device);
    m.all_seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  m.seconds = median(m.all_seconds);
  m.peak_bytes = Allocator::of(device).stats().peak_bytes;
  Profile profile;
  const auto start = Clock::now();
  run_eagerly();
  wait_for(device);
  m.profiled_seconds = std::chrono::duration<double>(Clock::now() - start).count();
  m.kernels = profile.kernels();
  m.flops_step = profile.flops();
  return m;
}

/// "down_blocks.0.resnets.1.conv1.weight" belongs to "down_blocks.0", "conv_in.bias" to "conv_in".
std::string block_of(const std::string& name) {
  const std::size_t dot = name.find('.');
  if (!name.starts_with("down_blocks") && !name.starts_with("up_blocks"))
    return name.substr(0, dot);
  return name.substr(0, name.find('.', dot + 1));
}

}  // namespace

StepPlan plan_step(const TrainConfig& config) {
  StepPlan plan;
  const auto task = make_task(config);
  plan.parameters = task->module().parameter_count();
  for (const Slot& slot : task->module().slots()) {
    const std::string block = block_of(slot.name);
    if (plan.parameters_by_block.empty() || plan.parameters_by_block.back().first != block)
      plan.parameters_by_block.emplace_back(block, 0);
    plan.parameters_by_block.back().second += slot.shape().numel();
  }
  Allocator& meta = Allocator::of(kMeta);
  const int64_t before = meta.stats().live_bytes;
  ParameterArena arena(task->module(), {.device = kMeta,
                                        .dtype = element_type(config.run.precision),
                                        .trainable = true,
                                        .ema = config.optimizer.ema_decay > 0});
  AdamW optimizer(arena, config.optimizer, config.run.updates);
  plan.persistent_bytes = meta.stats().live_bytes - before;
  plan.micro_batch = micro_batch_of(config);
  const Batch batch = synthetic_batch(config, plan.micro_batch, kMeta);
  meta.reset_peak();
  Profile profile;
  arena.reset_grads();
  {
    const StepLoss loss = task->loss(batch, config.run.batch, true);
    plan.flops_forward = profile.flops() / double(plan.micro_batch);
    plan.forward_bytes = meta.stats().live_bytes - before;
    backward(loss.total);
  }
  plan.flops_step = profile.flops() / double(plan.micro_batch);
  optimizer.step(0);
  const MemoryStats stats = meta.stats();
  plan.peak_bytes = stats.peak_bytes - before;
  plan.peak_by_tag = stats.peak_by_tag;
  return plan;
}

void check_memory(const TrainConfig& config) {
  const StepPlan plan = plan_step(config);
  const Device device = config.run.device();
  const double machine =
      device.is_cpu() ? system_info().memory_bytes : double(Allocator::of(device).capacity());
  const int64_t needed = device.is_cpu() ? plan.peak_bytes : plan_card(config).wanted();
  if (double(needed) <= machine) return;
  throw UsageError(
      fmt::format("[train] a step of {} images at once needs {} of memory and {} has {}; {}",
                  plan.micro_batch, format_bytes(double(needed)),
                  device.is_cpu() ? "this machine" : device.str(), format_bytes(machine),
                  double(plan.persistent_bytes) < machine
                      ? "compute fewer at once with run.micro_batch, or take a smaller run.batch"
                      : "the weights and their optimiser alone are too large"));
}

class SyntheticRun::Parts {
 public:
  explicit Parts(const TrainConfig& config)
      : global_(config.run.batch),
        task_(make_task(config)),
        arena_(task_->module(), {.device = config.run.device(),
                                 .dtype = element_type(config.run.precision),
                                 .trainable = true,
                                 .ema = config.optimizer.ema_decay > 0}),
        optimizer_(arena_, config.optimizer, config.run.updates),
        replay_(
            [this](const auto& in) {
              return compute({in[0], in[1], in[2]});
            },
            config.run.graph) {
    arena_.initialize(config.run.seed());
    batch_ = synthetic_batch(config, micro_batch_of(config), config.run.device());
  }
  void update() {
    optimizer_.prepare(0);
    replay_({batch_.images, batch_.labels, batch_.sample_index});
  }
  void update_eagerly() {
    optimizer_.prepare(0);
    compute(batch_);
  }
  const Replay::State& recording() const { return replay_.state(); }

 private:
  std::vector<Tensor> compute(const Batch& batch) {
    arena_.reset_grads();
    for (int64_t done = 0; done < global_; done += batch.images.dim(0))
      backward(task_->loss(batch, global_, true).total);
    arena_.finish_grads();
    return {optimizer_.apply({})};
  }

  int64_t global_;
  std::unique_ptr<Task> task_;
  ParameterArena arena_;
  AdamW optimizer_;
  Replay replay_;
  Batch batch_;
};

SyntheticRun::SyntheticRun(const TrainConfig& config) : parts_(std::make_unique<Parts>(config)) {}
SyntheticRun::~SyntheticRun() = default;
void SyntheticRun::update() { parts_->update(); }
const Replay::State& SyntheticRun::recording() const { return parts_->recording(); }
void SyntheticRun::update_eagerly() { parts_->update_eagerly(); }

StepMeasurement measure_step(const TrainConfig& config, int64_t steps, int64_t warmup) {
  SyntheticRun run(config);
  return measure(
      config.run.device(), steps, warmup, [&] { run.update(); }, [&] { run.update_eagerly(); });
}

StepMeasurement measure_sampling(const TrainConfig& config, int64_t batch, int64_t steps,
                                 int64_t warmup) {
  UNet unet(config.model);
  const Device device = config.run.device();
  ParameterArena arena(
      unet, {.device = device, .dtype = element_type(config.run.precision), .trainable = false});
  arena.initialize(config.run.seed());
  diffusion::SamplerConfig sampler;
  sampler.steps = steps;
  SampleRequest request{.count = batch,
                        .labels = {},
                        .first = 0,
                        .batch = batch,
                        .seed = config.run.seed(),
                        .dtype = element_type(config.run.precision),
                        .device = device,
                        .graph = config.run.graph};
  if (config.model.num_class_embeds > 0) request.labels.assign(std::size_t(batch), 0);
  const auto draw = [&](bool graph) {
    request.graph = graph;
    sample_pixels(unet, config.schedule, config.objective.target, sampler, request);
  };
  StepMeasurement m = measure(
      device, 3, warmup, [&] { draw(config.run.graph); }, [&] { draw(false); });
  m.sampling_steps = steps;
  m.seconds /= double(steps);
  m.flops_step /= double(steps);
  for (double& seconds : m.all_seconds) seconds /= double(steps);
  return m;
}

std::string kernel_family(const std::string& kernel) {
  const std::pair<const char*, const char*> families[] = {{"conv2d", "convolution"},
                                                          {"upsample_conv", "convolution"},
                                                          {"matmul", "product"},
                                                          {"linear", "product"},
                                                          {"column_sum", "product"},
                                                          {"attention", "attention"},
                                                          {"group_norm", "normalisation"},
                                                          {"layer_norm", "normalisation"},
                                                          {"adamw", "optimiser"},
                                                          {"sum_of_squares", "optimiser"},
                                                          {"fill_normal", "random"},
                                                          {"fill_", "random"},
                                                          {"dropout", "random"},
                                                          {"random", "random"},
                                                          {"concat", "copies"},
                                                          {"slice", "copies"},
                                                          {"copy", "copies"},
                                                          {"resize", "copies"},
                                                          {"cast", "copies"}};
  for (const auto& [prefix, family] : families)
    if (kernel.starts_with(prefix)) return family;
  return "element-wise";
}

}  // namespace noisette
