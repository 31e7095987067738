// The choice of a form for the convolutions of a run: how it is made, kept and said.
#include "train/conv_forms.h"

#include "framework/ops/conv_observer.h"
#include "kernels/cpu/winograd.h"
#include "tests/support/message.h"
#include "tests/train/program.h"
#include "tests/train/training.h"
#include "train/measure.h"
#include "train/measure_conv.h"

namespace noisette {
namespace {

using namespace test;
using cpu::ConvCase;
using cpu::ConvForm;
using cpu::ConvMode;
using testing_support::message_of;

const ConvCase kPays = {ConvPass::forward, {2, 32, 32, 64, 64, 3, 3, 1, 1, 1, 1, 1}};
const ConvCase kPaysNot = {ConvPass::forward, {1, 1, 1, 64, 64, 3, 3, 1, 1, 1, 1, 1}};

class ConvForms : public testing::Test {
 protected:
  ConvForms() { use_conv_forms(t.config("any")); }
  ~ConvForms() override { cpu::choose_conv_forms({}); }

  static std::vector<double> losses_of(const TrainConfig& c) {
    std::vector<double> losses;
    for (const Metrics& m : read_metrics(c.run_folder() / "metrics.jsonl"))
      losses.push_back(m.loss);
    return losses;
  }

  Training t;
};

TEST_F(ConvForms, AreByRuleButForTheExceptions) {
  EXPECT_EQ(cpu::conv_form(kPays), ConvForm::winograd);
  EXPECT_EQ(cpu::conv_form(kPaysNot), ConvForm::direct);
  cpu::choose_conv_forms({.exceptions = {{kPays, ConvForm::direct}}});
  EXPECT_EQ(cpu::conv_form(kPays), ConvForm::direct);
  ConvCase other = kPays;
  other.pass = ConvPass::backward_data;
  EXPECT_EQ(cpu::conv_form(other), ConvForm::winograd);
  cpu::choose_conv_forms({.mode = ConvMode::winograd});
  EXPECT_EQ(cpu::conv_form(kPaysNot), ConvForm::winograd);
  cpu::choose_conv_forms({.mode = ConvMode::direct});
  EXPECT_EQ(cpu::conv_form(kPays), ConvForm::direct);
}

TEST_F(ConvForms, ThereIsNoChoiceForOtherShapes) {
  cpu::choose_conv_forms({.mode = ConvMode::winograd});
  ConvCase c = kPays;
  c.dims.stride = 2;
  EXPECT_EQ(cpu::conv_form(c), ConvForm::direct);
  c = kPays;
  c.dims.kernel_h = c.dims.kernel_w = 5;
  EXPECT_EQ(cpu::conv_form(c), ConvForm::direct);
  c = kPays;
  c.dims.out_c = 3;  // loops of its own
  EXPECT_EQ(cpu::conv_form(c), ConvForm::direct);
  c.pass = ConvPass::backward_data;
  EXPECT_EQ(cpu::conv_form(c), ConvForm::winograd);
}

TEST_F(ConvForms, GoThroughText) {
  for (const ConvChosen& chosen :
       {ConvChosen{kPays, ConvForm::direct},
        ConvChosen{{ConvPass::backward_weight, {16, 7, 9, 1, 320, 2, 2, 1, 1, 0, 1, 0}, true},
                   ConvForm::winograd}}) {
    const auto read = read_conv_form(write_conv_form(chosen));
    ASSERT_TRUE(read);
    EXPECT_EQ(*read, chosen);
  }
  EXPECT_EQ(write_conv_form({kPays, ConvForm::direct}),
            "direct forward f32 2x32x32 64->64 3x3 pad 1,1,1,1");
  for (const char* text : {"", "direct", "direct forward f32 2x32x32 64->64 3x3 pad 1,1,1",
                           "direct forward f16 2x32x32 64->64 3x3 pad 1,1,1,1",
                           "fast forward f32 2x32x32 64->64 3x3 pad 1,1,1,1",
                           "direct sideways f32 2x32x32 64->64 3x3 pad 1,1,1,1",
                           "direct forward f32 2x32x32 64->64 3x3 pad 1,1,1,1 "})
    EXPECT_FALSE(read_conv_form(text)) << text;
  TrainConfig c = t.config("a");
  const std::string toml = config::to_toml(c);
  EXPECT_CONTAINS(message_of([&] {
                    parse_train_config(
                        toml, "a.toml",
                        std::vector<std::string>{"run.conv_forms=[\"rule\", \"x\"]"});
                  }),
                  "conv_forms holds 'x', which is neither rule nor as in 'direct backward_data");
}

TEST_F(ConvForms, OfAStepAreSeenWithoutData) {
  const ConvObserver observer;
  plan_step(t.config("a"));
  const auto has = [&](const ConvCase& c) {
    return std::find(observer.cases().begin(), observer.cases().end(), c) != observer.cases().end();
  };
  for (const ConvPass pass :
       {ConvPass::forward, ConvPass::backward_data, ConvPass::backward_weight}) {
    EXPECT_TRUE(has({pass, {5, 8, 8, 8, 8, 3, 3, 1, 1, 1, 1, 1}}));
    EXPECT_TRUE(has({pass, {5, 4, 4, 16, 64, 2, 2, 1, 1, 1, 1, 1}})) << "of upsampling";
  }
  EXPECT_FALSE(has({ConvPass::backward_data, {5, 8, 8, 1, 8, 3, 3, 1, 1, 1, 1, 1}}))
      << "images have no gradient";
}

TEST_F(ConvForms, OfASmallRunDependOnNoClock) {
  TrainConfig c = t.config("a");
  measure_conv_forms(c);
  EXPECT_EQ(c.run.conv_forms, std::vector<std::string>{"rule"});
}

TEST_F(ConvForms, BothAreTimedAndAsExact) {
  const ConvTimes times = time_conv(kPays, 2);
  EXPECT_GT(times.direct, 0);
  EXPECT_GT(times.winograd, 0);
  EXPECT_FALSE(times.direct_always_faster && times.winograd_always_faster);
  const ConvErrors errors = conv_errors(kPays);
  EXPECT_GT(errors.direct, 1e-8);
  EXPECT_GT(errors.winograd, 1e-8);
  EXPECT_NE(errors.direct, errors.winograd);  // the two modes do run two forms
  EXPECT_LT(errors.winograd, 4 * errors.direct);
  EXPECT_EQ(cpu::conv_choice().mode, ConvMode::automatic);  // put back
}

TEST_F(ConvForms, OfARunAreKeptInItsFolderAndTakenByWhoGoesOn) {
  TrainConfig c = t.config("a");
  c.run.updates = 2;
  run(c);
  EXPECT_CONTAINS(get(c.run_folder() / "config.toml"), "conv_forms = [\"rule\"]");
  const std::string exception = write_conv_form(
      {{ConvPass::forward, {5, 8, 8, 8, 8, 3, 3, 1, 1, 1, 1, 1}}, ConvForm::winograd});
  TrainConfig whole = t.config("whole"), parts = t.config("parts");
  whole.run.updates = 6;
  whole.run.conv_forms = parts.run.conv_forms = {"rule", exception};
  parts.run.updates = 3;
  const std::string expected = hash_checkpoint(run(whole).checkpoint).state;
  run(parts);
  parts.run.updates = 6;
  parts.run.conv_forms.clear();  // as the file that the user wrote has it
  const std::filesystem::path middle = checkpoint_path(parts.run_folder() / "checkpoints", 3);
  EXPECT_EQ(hash_checkpoint(run(parts, {.resume = middle}).checkpoint).state, expected);
  EXPECT_CONTAINS(get(parts.run_folder() / "config.toml"), exception);
  parts.run.conv_forms = {"rule"};
  EXPECT_CONTAINS(message_of([&] { run(parts, {.resume = middle}); }), "run.conv_forms is");
  TrainConfig plain = t.config("plain");
  plain.run.updates = 6;
  EXPECT_NE(hash_checkpoint(run(plain).checkpoint).state, expected) << "the exception counts";
}

TEST_F(ConvForms, TrainAlike) {
  TrainConfig direct = t.config("direct"), winograd = t.config("winograd");
  direct.run.updates = winograd.run.updates = 50;
  direct.run.conv = Conv::direct;
  winograd.run.conv = Conv::winograd;
  run(direct);
  run(winograd);
  const std::vector<double> a = losses_of(direct), b = losses_of(winograd);
  ASSERT_EQ(a.size(), 50u);
  ASSERT_EQ(b.size(), 50u);
  EXPECT_NE(a, b);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4 * a[i]) << i;
}

}  // namespace
}  // namespace noisette
