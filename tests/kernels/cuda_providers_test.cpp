// Who does a work, our kernel or a library: with fakes for the libraries, in host memory with a
// clock of its own, and on the device.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <limits>
#include <set>

#include "tests/kernels/on_device.h"
#include "tests/kernels/values.h"

#ifdef NOISETTE_CUDA

#include "kernels/cuda/graph.h"
#include "kernels/cuda/providers/providers.h"
#include "kernels/cuda/providers/trial.h"

namespace noisette::cuda::providers {
namespace {

using test::OnDevice;

constexpr MatmulDims kDims = {.m = 128, .n = 256, .k = 2048};
const Work kWork = work<float>(Operation::matmul_accumulate, kDims, Addend::in_place);

/// Time, as the fakes spend it.
double now = 0;

class HostCard final : public Card {
 public:
  bool current() const override { return is_current; }
  bool recording() const override { return is_recording; }
  void* reserve(std::size_t bytes) override {
    constexpr std::size_t kAlign = 256;
    return has_memory ? std::aligned_alloc(kAlign, (bytes + kAlign - 1) / kAlign * kAlign)
                      : nullptr;
  }
  void release(void* data) override { std::free(data); }
  void write(void* to, const void* from, std::size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void read(void* to, const void* from, std::size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  double seconds(const std::function<void()>& call) override {
    ++timed;
    const double before = now;
    call();
    return now - before;
  }
  bool is_current = true, is_recording = false, has_memory = true;
  int timed = 0;
};

/// What a fake does to a right result.
struct Fake {
  double seconds = 0;
  float factor = 1;  // on the sum
  bool adds = true;  // to what is there
  bool throws = false;
  int runs = 0;
};

void accumulate(const Operands& o, float factor, bool adds) {
  std::vector<float> sums(std::size_t(kDims.c_numel()));
  cpu::matmul_accumulate(o.input<float>(0), o.input<float>(1), sums.data(), false, kDims);
  for (std::size_t i = 0; i < sums.size(); ++i)
    o.result<float>()[i] = (adds ? o.result<float>()[i] : 0) + factor * sums[i];
}

class FakePlan final : public Plan {
 public:
  explicit FakePlan(Fake& fake) : fake_(fake) {}
  void run(const Operands& o) override {
    ++fake_.runs;
    if (fake_.throws) throw std::runtime_error("no such luck");
    now += fake_.seconds;
    accumulate(o, fake_.factor, fake_.adds);
  }

 private:
  Fake& fake_;
};

class FakeProvider final : public Provider {
 public:
  explicit FakeProvider(std::vector<Fake>& fakes) : fakes_(fakes) {}
  std::string name() const override { return "fake"; }
  std::string version() const override { return "1.2.3"; }
  std::vector<std::unique_ptr<Plan>> plans(const Work&) override {
    std::vector<std::unique_ptr<Plan>> all;
    for (Fake& fake : fakes_) all.push_back(std::make_unique<FakePlan>(fake));
    return all;
  }

 private:
  std::vector<Fake>& fakes_;
};

class Providers : public testing::Test {
 protected:
  Providers() {
    a = test::cast<float>(test::random_values(kDims.a_numel(), 1));
    b = test::cast<float>(test::random_values(kDims.b_numel(), 2));
    start = test::cast<float>(test::random_values(kDims.c_numel(), 3));
    want = start;
    cpu::matmul_accumulate(a.data(), b.data(), want.data(), true, kDims);
  }

  Selection& selection() {
    if (!selected) {
      std::vector<std::unique_ptr<Provider>> all;
      all.push_back(std::make_unique<FakeProvider>(fakes));
      auto host = std::make_unique<HostCard>();
      card = host.get();
      selected = std::make_unique<Selection>(
          std::move(all), std::move(host),
          Owner{.warn = [&](const std::string& text) { warnings.push_back(text); },
                .known = known,
                .keep = [&](const std::string& key, const Choice& c) { kept[key] = c; }});
    }
    return *selected;
  }

  /// c += a b, once, whoever does it.
  void run(const Work& work = kWork) {
    std::vector<float> c = start;
    selection().run(work, {{a.data(), b.data()}, {c.data()}}, [&](const Operands& o) {
      ++ours;
      now += 1;
      accumulate(o, 1, true);
    });
    for (std::size_t i = 0; i < c.size(); ++i) ASSERT_NEAR(c[i], want[i], 1e-3) << i;
  }
  /// Whether another run is the fake's, not ours.
  bool is_taken(std::size_t fake) {
    const int before = ours, runs = fakes[fake].runs;
    run();
    EXPECT_EQ(ours - before + fakes[fake].runs - runs, 1);
    return ours == before;
  }

  std::vector<float> a, b, start, want;
  std::vector<Fake> fakes;
  Choices known;
  std::unique_ptr<Selection> selected;
  HostCard* card = nullptr;
  std::vector<std::string> warnings;
  Choices kept;
  int ours = 0;
};

TEST_F(Providers, ThatAreRightAndFasterAreTaken) {
  fakes = {{.seconds = 0.9}, {.seconds = 0.5}, {.seconds = 0.7}};
  run();  // the first time too
  EXPECT_TRUE(is_taken(1));
  EXPECT_TRUE(warnings.empty());
  ASSERT_EQ(kept.size(), 1u);
  const Choice c = kept.at(kWork.key());
  EXPECT_EQ(c.plan, "fake 2");
  EXPECT_EQ(c.fastest, "fake 2");
  EXPECT_DOUBLE_EQ(c.ours, 1);
  EXPECT_NEAR(c.theirs, 0.5, 1e-9);
}

TEST_F(Providers, ThatAreNotFasterByAMarginAreNot) {
  fakes = {{.seconds = 1.5}, {.seconds = 0.97}};
  run();
  EXPECT_FALSE(is_taken(1));
  EXPECT_TRUE(warnings.empty());
  const Choice c = kept.at(kWork.key());
  EXPECT_EQ(c.plan, "");
  EXPECT_EQ(c.fastest, "fake 2") << "which the table of a card shows";
}

TEST_F(Providers, ThatAreWrongAreRefusedWithOneWarning) {
  fakes = {{.seconds = 0.1, .factor = 1.001f}, {.seconds = 0.1, .factor = 2}};
  run();
  EXPECT_FALSE(is_taken(0));
  EXPECT_EQ(fakes[0].runs, 1);
  EXPECT_EQ(fakes[1].runs, 1);
  EXPECT_EQ(warnings, std::vector<std::string>{
                          "fake 1 is not used for " + kWork.key() +
                          ": its result 0 is 0.001 away from ours, and 6.1e-05 is the bound"});
}

TEST_F(Providers, ThatDoNotAddAreRefused) {
  fakes = {{.seconds = 0.1, .adds = false}};
  run();
  EXPECT_FALSE(is_taken(0));
  EXPECT_EQ(warnings.size(), 1u);
}

TEST_F(Providers, ThatAreNotFiniteAreRefused) {
  fakes = {{.seconds = 0.1, .factor = std::numeric_limits<float>::quiet_NaN()}};
  run();
  EXPECT_FALSE(is_taken(0));
  EXPECT_EQ(warnings.size(), 1u);
}

TEST_F(Providers, ThatThrowAreRefused) {
  fakes = {{.throws = true}, {.seconds = 0.5}};
  run();
  EXPECT_TRUE(is_taken(1));
  EXPECT_EQ(warnings,
            std::vector<std::string>{"fake 1 is not used for " + kWork.key() + ": no such luck"});
  fakes[1].throws = true;  // later than when it was tried
  run();
  EXPECT_FALSE(is_taken(1));
  EXPECT_EQ(warnings.size(), 2u);
}

TEST_F(Providers, AreNotTriedWhileAGraphIsRecorded) {
  fakes = {{.seconds = 0.5}};
  selection();
  card->is_recording = true;
  run();
  EXPECT_EQ(ours, 1);
  EXPECT_EQ(fakes[0].runs, 0);
  EXPECT_TRUE(selection().choices().empty());
  card->is_recording = false;
  run();
  card->is_recording = true;
  EXPECT_TRUE(is_taken(0)) << "what is known by then is recorded";
}

TEST_F(Providers, AreNotTriedWhereTheyCannotPay) {
  fakes = {{.seconds = 0.5}};
  selection();
  card->is_current = false;  // another device
  run();
  card->is_current = true;
  card->has_memory = false;
  run();
  card->has_memory = true;
  run();  // not tried again by this process
  EXPECT_EQ(ours, 3);
  EXPECT_TRUE(kept.empty());

  std::vector<float> c = start;
  const auto count = [&](const Operands&) { ++ours; };
  const Work small = work<float>(Operation::matmul, MatmulDims{.m = 8, .n = 8, .k = 8});
  selection().run(small, {{a.data(), b.data()}, {c.data()}}, count);
  const Work other = work<float>(Operation::matmul, kDims);
  selection().run(other, {{a.data() + 1, b.data()}, {c.data()}}, count);
  EXPECT_EQ(ours, 5);
  EXPECT_EQ(fakes[0].runs, 0);
  EXPECT_EQ(card->timed, 0);
}

TEST_F(Providers, AreKnownFromBefore) {
  fakes = {{.seconds = 2}, {.seconds = 3}};
  known[kWork.key()] = {.plan = "fake 2", .ours = 1, .theirs = 0.5, .fastest = "fake 2"};
  EXPECT_TRUE(is_taken(1));
  EXPECT_TRUE(is_taken(1));
  EXPECT_EQ(card->timed, 0);
  EXPECT_TRUE(kept.empty());

  selected.reset();
  known[kWork.key()].plan = "";
  EXPECT_FALSE(is_taken(1));
  EXPECT_EQ(card->timed, 0);

  selected.reset();
  known[kWork.key()].plan = "fake 3";  // there is no such plan any more
  run();
  EXPECT_EQ(card->timed, 3);
  EXPECT_EQ(kept.at(kWork.key()).plan, "");
}

TEST(Works, HaveKeysOfTheirOwn) {
  std::vector<Work> all = {kWork};
  const auto vary = [&](const auto& change) { change(all.emplace_back(kWork)); };
  vary([](Work& w) { w.operation = Operation::matmul; });
  vary([](Work& w) { w.bf16 = true; });
  vary([](Work& w) { w.tf32 = true; });
  vary([](Work& w) { w.bias = true; });
  vary([](Work& w) { w.added = Addend::none; });
  vary([](Work& w) { w.added = Addend::apart; });
  vary([](Work& w) { std::get<MatmulDims>(w.dims).trans_b = true; });
  vary([](Work& w) { w.dims = AttentionDims{.batch = 1, .scale = 1}; });
  vary([](Work& w) { w.dims = AttentionDims{.batch = 1, .scale = 0.5}; });
  vary([](Work& w) { w.dims = ConvDims{.batch = 1, .pad_right = 1}; });
  vary([](Work& w) { w.dims = ConvDims{.batch = 1}; });
  std::set<std::string> keys;
  for (const Work& w : all) keys.insert(w.key());
  EXPECT_EQ(keys.size(), all.size());
  EXPECT_EQ(kWork.key(), "matmul_accumulate f32 1 128 256 2048 0 0 in-place");
}

TEST(Trials, LookAtTheColumnsOfRows) {
  HostCard card;
  const AttentionDims d{.batch = 2,
                        .queries = 3,
                        .keys = 5,
                        .heads = 2,
                        .head_dim = 8,
                        .q_stride = 48,
                        .k_stride = 48,
                        .v_stride = 48,
                        .o_stride = 16};
  const Work w = work<bfloat16>(Operation::attention_backward, d);
  int there = 0;
  Trial trial(card, w,
              {{&there, &there, &there, &there, &there, &there}, {&there, &there, &there}});
  ASSERT_TRUE(trial.ready());
  const auto before = trial.read();
  ASSERT_EQ(before.size(), 3u);
  EXPECT_EQ(before[0].size(), 2u * 3 * 16);
  EXPECT_EQ(before[1].size(), 2u * 5 * 16);
  bfloat16* const dk = trial.operands().result<bfloat16>(1);
  dk[16] = bfloat16(9);  // between two rows
  EXPECT_EQ(distance(trial.read()[1], before[1]), 0);
  dk[48] = bfloat16(9);  // the second row
  EXPECT_GT(distance(trial.read()[1], before[1]), bound(w, w.results()[1]));
  trial.reset();
  EXPECT_EQ(trial.read(), before);
  EXPECT_NE(before[1], before[2]) << "tensors have numbers of their own";
}

class CudaProviders : public test::NeedsCuda<testing::Test> {
 protected:
  ~CudaProviders() override { use(nullptr); }
};

/// Multiplies on the host, and gives `factor` times the result.
class ByHost final : public Plan {
 public:
  explicit ByHost(float factor) : factor_(factor) {}
  void run(const Operands& o) override {
    std::vector<bfloat16> a(std::size_t(kDims.a_numel())), b(std::size_t(kDims.b_numel()));
    std::vector<float> c(std::size_t(kDims.c_numel())), sums(c.size());
    copy_to_host(a.data(), o.in[0], a.size() * sizeof(bfloat16));
    copy_to_host(b.data(), o.in[1], b.size() * sizeof(bfloat16));
    copy_to_host(c.data(), o.out[0], c.size() * sizeof(float));
    cpu::matmul_accumulate(a.data(), b.data(), sums.data(), false, kDims);
    for (std::size_t i = 0; i < c.size(); ++i) c[i] += factor_ * sums[i];
    copy_to_device(o.out[0], c.data(), c.size() * sizeof(float));
  }

 private:
  float factor_;
};

class HostProvider final : public Provider {
 public:
  explicit HostProvider(float factor) : factor_(factor) {}
  std::string name() const override { return "host"; }
  std::string version() const override { return "1"; }
  std::vector<std::unique_ptr<Plan>> plans(const Work&) override {
    std::vector<std::unique_ptr<Plan>> all;
    all.push_back(std::make_unique<ByHost>(factor_));
    return all;
  }

 private:
  float factor_;
};

TEST_F(CudaProviders, StandInForAKernel) {
  const OnDevice a(test::cast<bfloat16>(test::random_values(kDims.a_numel(), 1)));
  const OnDevice b(test::cast<bfloat16>(test::random_values(kDims.b_numel(), 2)));
  const OnDevice c(test::cast<float>(test::random_values(kDims.c_numel(), 3)));
  const OnDevice alone(c);
  matmul_accumulate(a.get(), b.get(), alone.get(), true, kDims);
  const auto want = alone.back();
  for (const float factor : {1.f, 1.5f}) {
    const OnDevice got(c);
    std::vector<std::string> warnings;
    std::vector<std::unique_ptr<Provider>> all;
    all.push_back(std::make_unique<HostProvider>(factor));
    use(std::make_unique<Selection>(
        std::move(all), real_card(0),
        Owner{.warn = [&](const std::string& text) { warnings.push_back(text); },
              .known = {},
              .keep = [](const std::string&, const Choice&) {}}));
    Graph graph;
    const OnDevice other(c);
    graph.begin();
    matmul_accumulate(a.get(), b.get(), other.get(), true, kDims);
    graph.end();
    EXPECT_TRUE(selection()->choices().empty()) << "nothing is tried in a recording";
    matmul_accumulate(a.get(), b.get(), got.get(), true, kDims);
    const auto values = got.back();
    EXPECT_EQ(selection()->choices().size(), 1u);
    EXPECT_EQ(warnings.size(), factor == 1 ? 0u : 1u);
    for (std::size_t i = 0; i < want.size(); ++i)  // by either, and added once
      ASSERT_NEAR(values[i], want[i], 1e-4 * std::abs(want[i]) + 1e-4) << i;
    if (factor != 1) {
      EXPECT_EQ(values, want) << "bit for bit";
    }
  }
}

/// Asks for each function once, with all that may be added.
template <class T>
void ask_for_everything() {
  const auto values = [](int64_t n) { return OnDevice(std::vector<T>(std::size_t(n))); };
  const auto sums = [](int64_t n) { return OnDevice(std::vector<float>(std::size_t(n))); };
  const MatmulDims p{.m = 512, .n = 384, .k = 512, .trans_b = true};
  const auto a = values(p.a_numel()), b = values(p.b_numel()), c = values(p.c_numel());
  const auto bias = sums(p.n), total = sums(p.c_numel());
  matmul(a.get(), b.get(), bias.get(), c.get(), c.get(), p);
  matmul_accumulate(a.get(), b.get(), total.get(), true, p);

  const ConvDims d{2, 32, 32, 64, 128, 3, 3, 1, 1, 1, 1, 1};
  const auto x = values(d.x_numel()), y = values(d.y_numel()), other = values(d.y_numel());
  const auto weight = values(d.weight_numel());
  const auto of_out = sums(d.out_c), dweight = sums(d.weight_numel());
  conv2d_forward(x.get(), weight.get(), of_out.get(), other.get(), y.get(), d);
  conv2d_backward_data(y.get(), weight.get(), x.get(), x.get(), d);
  conv2d_backward_weight(x.get(), y.get(), dweight.get(), true, d);

  const AttentionDims s{.batch = 2,
                        .queries = 256,
                        .keys = 256,
                        .heads = 4,
                        .head_dim = 64,
                        .q_stride = 768,
                        .k_stride = 768,
                        .v_stride = 768,
                        .o_stride = 256,
                        .scale = 0.125};
  const auto qkv = values(2 * 256 * 768), o = values(2 * 256 * 256), dqkv = values(2 * 256 * 768);
  const auto lse = sums(2 * 256 * 4);
  const T* const q = qkv.get();
  T* const dq = dqkv.get();
  attention_forward(q, q + 256, q + 512, o.get(), lse.get(), s);
  attention_backward(q, q + 256, q + 512, o.get(), lse.get(), o.get(), dq, dq + 256, dq + 512, s);
}

TEST_F(CudaProviders, ThatAreInstalledAgreeWithOurs) {
  std::vector<std::string> warnings;
  const auto warn = [&](const std::string& text) { warnings.push_back(text); };
  auto all = installed(warn);
  if (all.empty()) GTEST_SKIP() << "no library can be used here";
  use(std::make_unique<Selection>(
      std::move(all), real_card(0),
      Owner{.warn = warn, .known = {}, .keep = [](const std::string&, const Choice&) {}}));
  ask_for_everything<bfloat16>();
  ask_for_everything<float>();
  EXPECT_EQ(warnings, std::vector<std::string>{});
  for (const auto& [key, choice] : selection()->choices())
    RecordProperty(key, choice.fastest.empty() ? "no library does it" : choice.fastest);
}

TEST_F(CudaProviders, AreNotForTheSoftwareGpu) {
  if (!is_simulated(0)) return;
  const auto never = [](const std::string& text) { ADD_FAILURE() << text; };
  EXPECT_TRUE(installed(never).empty());
  EXPECT_FALSE(driver_version().empty());
}

}  // namespace
}  // namespace noisette::cuda::providers

#endif
