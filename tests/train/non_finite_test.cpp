// When numbers overflow: the run stops, says where, and leaves the last good state.
#include <cmath>
#include <cstdio>

#include "tests/train/training.h"

namespace noisette {
namespace {

using namespace test;

std::string failure_of(const TrainConfig& c, const TrainOptions& options = {}) {
  return error_of([&] { run(c, options); });
}

/// Each update multiplies the weights by 1 - rate * decay.
class Diverging : public testing::TestWithParam<std::tuple<double, Precision>> {
  const KeptBf16 bf16_;
};
INSTANTIATE_TEST_SUITE_P(Decay, Diverging,
                         testing::Combine(testing::Values(1, 10),
                                          testing::Values(Precision::f32, Precision::bf16)));

TEST_P(Diverging, TheLastGoodStateIsSavedAndTheFirstBadTensorNamed) {
  const Training t;
  TrainConfig c = t.config("a");
  std::tie(c.optimizer.weight_decay, c.run.precision) = GetParam();
  c.optimizer.learning_rate = 10;
  c.run.updates = 60;
  c.run.micro_batch = 3;
  const std::string message = failure_of(c);
  long long bad = 0;
  char op[64];
  const char* form = "[train] update %lld gave a loss of %*[^:]: [%63[a-z0-9_]] ";
  ASSERT_EQ(std::sscanf(message.c_str(), form, &bad, op), 2) << message;
  EXPECT_CONTAINS(message, "is not finite");
  const auto saved = checkpoint_path(c.run_folder() / "checkpoints", bad - 1);
  EXPECT_CONTAINS(message, "saved in " + saved.string());

  // Neither the bad update nor the one that had been begun after it changed anything.
  TrainConfig until = c;
  until.run.name = "until";
  until.run.updates = bad - 1;
  if (bad > 1) {
    EXPECT_EQ(hash_checkpoint(saved).state, state_of(run(until)));
  }

  // From there it fails in the same place, and with a sensible rate it goes on elsewhere.
  TrainOptions from;
  from.resume = saved;
  EXPECT_CONTAINS(failure_of(c, from), fmt::format("update {} gave", bad));
}

/// The state of a short run with one value changed, as a checkpoint.
std::filesystem::path changed_checkpoint(const Training& t, const TrainConfig& config,
                                         const Tensor& (ParameterArena::*buffer)() const,
                                         const std::string& parameter, float value) {
  const TrainResult r = run(config);
  UNet unet(config.model);
  ParameterArena arena(unet, {.dtype = DType::f32, .trainable = true, .ema = true});
  const CheckpointInfo info = load_checkpoint(r.checkpoint, arena);
  const ParameterArena::Entry* entry = arena.find(parameter);
  check(entry != nullptr, "no {}", parameter);
  ParameterArena::view((arena.*buffer)(), *entry).data<float>()[3] = value;
  save_checkpoint(t.folder / "changed.h5", arena, info);
  return t.folder / "changed.h5";
}

TEST(NonFinite, ABadStateIsNeverSaved) {
  // The embedding of a class that no image keeps: it overflows without a trace in the loss.
  const Training t;
  TrainConfig c = t.config("a");
  c.data.label_dropout = 1;
  c.optimizer.learning_rate = c.optimizer.weight_decay = 10;
  c.run.updates = 1;
  TrainOptions options;
  options.resume =
      changed_checkpoint(t, c, &ParameterArena::master, "class_embedding.weight", 1e37f);
  c.run.name = "b";
  c.run.updates = 2;
  EXPECT_CONTAINS(failure_of(c, options),
                  "after update 2 the value of class_embedding.weight is not finite; the newest "
                  "checkpoint is " +
                      options.resume->string());
  EXPECT_TRUE(list_checkpoints(c.run_folder() / "checkpoints").empty());
}

TEST(NonFinite, APoisonedCheckpointIsNotTrainedFurther) {
  const Training t;
  TrainConfig c = t.config("a");
  c.run.updates = 2;
  TrainOptions options;
  options.resume = changed_checkpoint(t, c, &ParameterArena::v, "conv_in.weight", std::nanf(""));
  c.run.name = "b";
  EXPECT_CONTAINS(failure_of(c, options), "second moment of conv_in.weight is not finite");
  EXPECT_FALSE(std::filesystem::exists(c.run_folder()));
}

}  // namespace
}  // namespace noisette
