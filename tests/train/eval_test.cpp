// Evaluation: against closed forms where the network is known, and that nothing but the model and
// the images counts.
#include "train/eval.h"

#include <cmath>
#include <set>

#include "framework/ops/elementwise.h"
#include "tests/train/training.h"
#include "train/eval_record.h"

namespace noisette {
namespace {

using namespace test;
using diffusion::Schedule;

constexpr diffusion::ScheduleConfig kSchedule{.steps = 40, .beta_end = 0.2};

/// A network that always predicts a black-and-white mean: x_0 = 0, so eps = x_t / noise(t).
EvalModel zero_predictor() {
  const Schedule schedule(kSchedule);
  EvalModel model{.network = {}, .schedule = kSchedule};
  model.network = [schedule](const Tensor& x, const Tensor& t, const Tensor&) {
    const Tensor inverse = empty({x.dim(0)}, DType::f32);
    for (int64_t i = 0; i < x.dim(0); ++i)
      inverse.data<float>()[i] = float(1 / schedule.noise(t.data<int64_t>()[i]));
    return scale_per_sample(x, inverse);
  };
  return model;
}

struct Expected {
  double prior = 0, kl = 0, decoder = 0;
  std::vector<double> bands = std::vector<double>(10);
};

/// What the zero predictor must be given, from the pixels alone: no noise is left in any of its
/// terms.
Expected expected_of(const DataSplit& data) {
  const Schedule schedule(kSchedule);
  std::vector<uint8_t> pixels(std::size_t(data.size() * data.info().image_bytes()));
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < data.size(); ++i) numbers.push_back(i);
  data.read_images(numbers, pixels);
  Expected e;
  double square = 0;
  const auto n = double(pixels.size());
  for (const uint8_t p : pixels) {
    const double x = 2 * p / 255.0 - 1;
    square += x * x / n;
    e.prior += diffusion::bits(prior_kl(schedule, x)) / n;
    e.decoder += diffusion::bits(diffusion::decoder_nll(
                     x, 0, decoder_log_std(schedule, diffusion::Variance::fixed_large))) /
                 n;
  }
  for (int64_t t = 1; t < kSchedule.steps; ++t) {
    const auto term = vlb_term(schedule, t, diffusion::Variance::fixed_large);
    e.kl += diffusion::bits(term.offset + term.weight * square);
  }
  for (int64_t t = 0; t < kSchedule.steps; ++t)  // eps is off by signal / noise * x_0
    e.bands[std::size_t(t / 4)] += schedule.snr(t) * square / 4;
  return e;
}

TEST(Eval, MatchesTheClosedFormOfAKnownNetwork) {
  const Folder folder;
  make_data(folder / "set.h5");
  const DataSplit data = DataSplit::open((folder / "set.h5").string(), "test");
  const EvalResult r = evaluate(zero_predictor(), data, {.timesteps = 0});
  const Expected e = expected_of(data);
  ASSERT_TRUE(r.bound && r.bands);
  EXPECT_EQ(r.images, 6);
  EXPECT_EQ(r.evaluations, 6 * 40);
  EXPECT_TRUE(r.bound->exact);
  // f32 images: the predicted x_0 is off by a few 1e-7 / signal(t)
  EXPECT_NEAR(r.bound->prior, e.prior, 1e-12 * e.prior);
  EXPECT_NEAR(r.bound->kl, e.kl, 1e-6 * e.kl);
  EXPECT_NEAR(r.bound->decoder, e.decoder, 1e-6 * e.decoder);
  EXPECT_DOUBLE_EQ(r.bound->bits, r.bound->prior + r.bound->kl + r.bound->decoder);
  double mean = 0;
  for (std::size_t b = 0; b < 10; ++b) {
    EXPECT_NEAR(r.bands->bands[b], e.bands[b], 1e-5 * e.bands[b]) << "band " << b;
    mean += e.bands[b] / 10;
  }
  EXPECT_NEAR(r.bands->loss, mean, 1e-5 * mean);
}

TEST(Eval, TheBatchAndTheOtherMetricChangeNothing) {
  const Folder folder;
  make_data(folder / "set.h5");
  const DataSplit data = DataSplit::open((folder / "set.h5").string(), "train");
  EvalModel noisy = zero_predictor();
  noisy.network = [](const Tensor& x, const Tensor&, const Tensor&) { return mul(x, 0.5); };
  EvalOptions o{.images = 5, .timesteps = 10, .batch = 64, .seed = 9};
  const EvalResult one = evaluate(noisy, data, o);
  o.batch = 7;
  const EvalResult other = evaluate(noisy, data, o);
  EXPECT_EQ(one.bound->bits, other.bound->bits);
  EXPECT_EQ(one.bands->bands, other.bands->bands);
  o.bands = false;
  EXPECT_EQ(one.bound->bits, evaluate(noisy, data, o).bound->bits);
  o.bound = false;
  o.bands = true;
  EXPECT_EQ(one.bands->bands, evaluate(noisy, data, o).bands->bands);
  o.seed = 10;
  EXPECT_NE(one.bands->bands, evaluate(noisy, data, o).bands->bands);
}

TEST(Eval, StretchesCoverTheTimesteps) {
  for (const int64_t steps : {2, 7, 40, 1000})
    for (const int64_t count : {1, 2, 3, 10, 50, 999, 1000, 5000})
      for (const auto& edges :
           {equal_stretches(1, steps, count), growing_stretches(1, steps, count)}) {
        EXPECT_EQ(edges.front(), 1);
        EXPECT_EQ(edges.back(), steps);
        EXPECT_EQ(int64_t(edges.size()) - 1, std::min(count, steps - 1));
        for (std::size_t i = 0; i + 1 < edges.size(); ++i) EXPECT_LT(edges[i], edges[i + 1]);
      }
}

TEST(Eval, DrawnTimestepsStandForAllOfThem) {
  const std::vector<int64_t> edges = growing_stretches(1, 100, 10);
  constexpr int64_t kImages = 20000;
  std::vector<double> weight(100);
  for (int64_t image = 0; image < kImages; ++image)
    for (const TimestepDraw& d : draw_timesteps(edges, 4, image))
      weight[std::size_t(d.t)] += d.weight / double(kImages);
  EXPECT_EQ(weight[0], 0);
  for (std::size_t i = 0; i + 1 < edges.size(); ++i) {
    // a draw of one in n, n times as heavy, has variance n - 1
    const double error = std::sqrt(double(edges[i + 1] - edges[i] - 1) / double(kImages));
    for (int64_t t = edges[i]; t < edges[i + 1]; ++t)
      EXPECT_NEAR(weight[std::size_t(t)], 1, 4.5 * error + 1e-12) << t;
  }
}

TEST(Eval, LabelsReachTheNetworkAndMissingOnesAreTheEmptyLabel) {
  const Folder folder;
  DatasetWriter writer(folder / "set.h5", 2, 2, 2, 1);
  writer.add(std::vector<uint8_t>(4, 10), 1);
  writer.add(std::vector<uint8_t>(4, 10), -1);
  writer.finish("test", {"a", "b"}, {{"test", 2}});
  EvalModel model = zero_predictor();
  model.num_class_embeds = 3;
  std::set<int64_t> seen;
  model.network = [&seen](const Tensor& x, const Tensor&, const Tensor& labels) {
    for (const int64_t l : labels.span<int64_t>()) seen.insert(l);
    return x;
  };
  const DataSplit data = DataSplit::open((folder / "set.h5").string(), "test");
  evaluate(model, data, {.bound = false});
  EXPECT_EQ(seen, (std::set<int64_t>{1, 2}));
  model.num_class_embeds = 1;
  EXPECT_CONTAINS(error_of([&] { evaluate(model, data, {}); }), "has label 1");
}

// ---- the command

TEST(EvalCommand, ModelFiguresGoIntoTheRunFolder) {
  const Folder folder;
  make_data(folder / "set.h5");
  const std::string run = make_run(folder / "run", folder / "set.h5").string();
  const auto j = run_json({"eval", run, "--timesteps", "0"});
  const auto& nll = j["nll"];
  EXPECT_NEAR(nll["bits_per_dim"].get<double>(),
              nll["prior"].get<double>() + nll["kl"].get<double>() + nll["decoder"].get<double>(),
              1e-12);
  EXPECT_GT(nll["bits_per_dim"].get<double>(), 0);
  EXPECT_EQ(nll["images"], 6);
  EXPECT_EQ(nll["split"], "test");
  EXPECT_EQ(nll["weights"], "averaged");
  EXPECT_EQ(nll["update"], 10);
  ASSERT_EQ(j["bands"]["bands"].size(), 10u);
  // An untrained network answers almost nothing: the loss is the variance of the noise.
  EXPECT_NEAR(j["bands"]["loss"].get<double>(), 1, 0.1);

  auto kept = read_eval_record(run);
  EXPECT_EQ(kept["nll"], nll);
  run_command({"eval", run, "--metrics", "bands", "--images", "2"});
  kept = read_eval_record(run);
  EXPECT_EQ(kept["nll"], nll) << "a metric that was not measured stays";
  EXPECT_EQ(kept["bands"]["images"], 2);
}

TEST(EvalCommand, FiguresOfAnotherConfigurationOrOfRawWeightsAreNotRecorded) {
  const Folder folder;
  make_data(folder / "set.h5");
  const std::string run = make_run(folder / "run", folder / "set.h5").string();
  run_command({"eval", run, "--metrics", "bands", "--raw"});
  EXPECT_EQ(read_eval_record(run)["bands"]["weights"], "raw") << "there was nothing better";
  run_command({"eval", run});
  const auto kept = read_eval_record(run);
  EXPECT_EQ(kept["bands"]["weights"], "averaged");
  for (const std::vector<std::string>& options :
       {std::vector<std::string>{"--raw"}, {"--set", "schedule.steps=10"}}) {
    std::vector<std::string> arguments{"eval", run, "--images", "2"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Quiet quiet;
    EXPECT_EQ(run_json(arguments)["bands"]["images"], 2);
    const std::string note = quiet.text();
    EXPECT_CONTAINS(note, "not recorded");
    EXPECT_EQ(std::count(note.begin(), note.end(), '\n'), 1) << note;
    EXPECT_EQ(read_eval_record(run), kept) << options[0];
  }
}

TEST(EvalCommand, TrainingImagesAreNotCalledHeldOut) {
  const Folder folder;
  make_data(folder / "set.h5");
  make_data(folder / "other.h5", 2);
  const std::string run = make_run(folder / "run", folder / "set.h5").string();
  const auto figures_on = [&](const char* data) {
    const std::string text = run_command({"eval", run, "--data", (folder / data).string()});
    const auto record = read_eval_record(run);
    const Rows rows = eval_rows(record);
    return fmt::format("{}\n{} {}\n{} {}\n{} bands", text, rows[0].first, rows[0].second,
                       rows[1].first, rows[1].second, eval_bands(record).size());
  };
  const std::string trained = figures_on("set.h5#train");
  for (const char* part : {"12 of 12 training images", "bits per dimension, training images",
                           " on 12 images", "loss, training images", "0 bands"})
    EXPECT_CONTAINS(trained, part);
  for (const char* data : {"set.h5#test", "other.h5#train"}) {
    const std::string held_out = figures_on(data);
    EXPECT_CONTAINS(held_out, "bits per dimension, held-out");
    EXPECT_CONTAINS(held_out, "loss, held-out");
    EXPECT_CONTAINS(held_out, "10 bands");
  }
}

TEST(EvalCommand, TheBatchChangesRoundingAlone) {
  const Folder folder;
  make_data(folder / "set.h5");
  make_checkpoint(folder / "model.h5", small_config(folder / "set.h5"));
  const std::string model = (folder / "model.h5").string();
  const auto a = run_json({"eval", model, "--batch", "64"}),
             b = run_json({"eval", model, "--batch", "5"});
  EXPECT_NEAR(a["nll"]["bits_per_dim"].get<double>(), b["nll"]["bits_per_dim"].get<double>(), 1e-5);
  EXPECT_NEAR(a["bands"]["loss"].get<double>(), b["bands"]["loss"].get<double>(), 1e-5);
  EXPECT_FALSE(std::filesystem::exists(folder / "eval.json"));
}

TEST(EvalCommand, CopiesOfRealImagesAreNamedRightAndAsVarious) {
  const Folder folder;
  make_data(folder / "real.h5");
  const std::string run = make_run(folder / "run", folder / "real.h5").string();
  std::filesystem::copy(folder / "real.h5", folder / "run" / "samples.h5");
  const std::string samples = run + "/samples.h5#train", real = (folder / "real.h5").string();
  const auto j = run_json({"eval", samples, "--data", real});
  EXPECT_EQ(j["knn"]["share"], 1.0);
  EXPECT_EQ(j["knn"]["images"], 12);
  EXPECT_EQ(j["knn"]["reference"], 12);
  EXPECT_NEAR(j["variety"]["mean_ratio"].get<double>(), 1, 1e-12);
  EXPECT_EQ(read_eval_record(run)["knn"], j["knn"]) << "the set lies in a run folder";
  const auto text = run_command({"eval", samples, "--data", real, "--neighbours", "1"});
  EXPECT_CONTAINS(text, "100.0 %");
  EXPECT_CONTAINS(text, "middle");
}

/// 8x8 samples with these labels.
void make_samples(const std::filesystem::path& path, const std::vector<int32_t>& labels) {
  DatasetWriter writer(path, int64_t(labels.size()), 8, 8, 1);
  for (std::size_t i = 0; i < labels.size(); ++i)
    writer.add(std::vector<uint8_t>(64, uint8_t(10 * i)), labels[i]);
  writer.finish("samples", {"0", "1", "2"}, {{"train", int64_t(labels.size())}});
}

TEST(EvalCommand, ClassesWithOneSampleHaveNoVariety) {
  const Folder folder;
  make_data(folder / "real.h5");
  const std::string set = (folder / "set.h5").string(), real = (folder / "real.h5").string();
  make_samples(set, {0, 0, 0, 2});
  const auto j = run_json({"eval", set, "--data", real})["variety"];
  EXPECT_EQ(j["left_out"], (std::vector<std::string>{"bottom (1 sample)"}));
  EXPECT_EQ(j["per_class"].size(), 1u);
  EXPECT_EQ(j["mean_ratio"], j["per_class"]["top"]);
  EXPECT_CONTAINS(run_command({"eval", set, "--data", real}), "left out: bottom (1 sample)");

  make_samples(set, {0, 1});
  const char* sentence = "left out: top (1 sample), middle (1 sample)";
  {
    const Quiet quiet;
    const auto rest = run_json({"eval", set, "--data", real});
    EXPECT_FALSE(rest.contains("variety"));
    EXPECT_EQ(rest["knn"]["images"], 2);
    EXPECT_CONTAINS(quiet.text(), sentence);
  }
  EXPECT_CONTAINS(run_error_of({"eval", set, "--data", real, "--metrics", "variety"}), sentence);
  EXPECT_EQ(run_error_of({"eval", set, "--data", real, "--metrics", "variety"}).find("[table]"),
            std::string::npos);
}

TEST(EvalCommand, SaysWhatIsWrong) {
  const Folder folder;
  make_data(folder / "set.h5");
  make_data(folder / "colour.h5", 1, 3);
  make_checkpoint(folder / "model.h5", small_config(folder / "set.h5"));
  const std::string model = (folder / "model.h5").string(), set = (folder / "set.h5").string();
  EXPECT_CONTAINS(usage_error_of({"eval", model, "--metrics", "knn"}), "nll and bands");
  EXPECT_CONTAINS(usage_error_of({"eval", set + "#test", "--metrics", "nll"}), "knn and variety");
  EXPECT_CONTAINS(usage_error_of({"eval", set + "#test"}), "--data");
  const auto foreign = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"eval", "--data", set});
    return usage_error_of(arguments);
  };
  EXPECT_CONTAINS(foreign({set + "#test", "--images", "3"}), "--images is for a model");
  EXPECT_CONTAINS(foreign({set + "#test", "--raw"}), "--raw is for a model");
  EXPECT_CONTAINS(foreign({model, "--set", "sampler.steps=3"}), "got --set sampler.steps=3");
  EXPECT_CONTAINS(foreign({model, "--neighbours", "3"}), "--neighbours is for a set of samples");
  EXPECT_CONTAINS(foreign({set + "#test", "--metrics", "variety", "--reference", "3"}),
                  "--reference is for --metrics knn");
  EXPECT_CONTAINS(run_error_of({"eval", (folder / "none").string()}), "does not exist");
  EXPECT_CONTAINS(run_error_of({"eval", model, "--data", (folder / "colour.h5").string()}),
                  "3 channels");
  EXPECT_CONTAINS(run_error_of({"eval", model, "--data", set + "#valid"}), "no split 'valid'");
  EXPECT_CONTAINS(run_error_of({"eval", set + "#test", "--data", (folder / "colour.h5").string()}),
                  "must be alike");

  put(folder / "short.h5", get(folder / "model.h5").substr(0, 20000));
  EXPECT_CONTAINS(run_error_of({"eval", (folder / "short.h5").string()}), "short.h5");
  put(folder / "foreign.toml", "[run]\n");
  EXPECT_CONTAINS(run_error_of({"eval", (folder / "foreign.toml").string()}), "is none of");

  const std::string run = make_run(folder / "run", folder / "set.h5").string();
  put(folder / "run" / "eval.json", "{\"nll\":");
  EXPECT_CONTAINS(run_error_of({"eval", run}), "eval.json is damaged");

  std::filesystem::remove(folder / "set.h5");
  EXPECT_CONTAINS(usage_error_of({"eval", model}), "--data");
}

}  // namespace
}  // namespace noisette
