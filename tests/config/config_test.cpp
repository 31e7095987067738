// A struct declared once: reading, strictness, messages, writing.
#include "framework/config/config.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <random>

#include "framework/core/check.h"
#include "tests/support/message.h"

namespace noisette::config {
namespace {

using namespace std::string_view_literals;
using testing_support::message_of;

enum class Decay { constant, cosine, linear };
constexpr std::array kDecayNames = {"constant"sv, "cosine"sv, "linear"sv};
constexpr std::span<const std::string_view> enum_names(Decay) { return kDecayNames; }

struct Optimizer {
  double learning_rate = 2e-4, beta1 = 0.9, weight_decay = 0;
  int64_t warmup = 5000;
  Decay decay = Decay::constant;
  std::optional<double> clip = 1.0;
  void fields(Fields& f) {
    f.add("learning_rate", learning_rate, {.above = 0, .max = 1, .doc = "step size"});
    f.add("beta1", beta1, {.min = 0, .below = 1, .doc = "decay of the first moment"});
    f.add("weight_decay", weight_decay, {.min = 0, .doc = "decoupled decay"});
    f.add("warmup", warmup, {.unit = "updates", .min = 0, .doc = "linear warm-up"});
    f.add("decay", decay, {.doc = "shape after warm-up"});
    f.add("clip", clip, {.above = 0, .doc = "global gradient norm"});
  }
  std::string problem() const {
    return decay == Decay::linear && warmup == 0 ? "decay = \"linear\" needs a warmup" : "";
  }
};

struct Job {
  std::string name = "run", data;
  int64_t seed = 0;
  bool flip = true;
  std::vector<int64_t> widths = {32, 64};
  std::vector<double> scales;
  std::vector<std::string> tags = {"a", "b"};
  std::optional<int64_t> keep;
  std::optional<std::string> note;
  Optimizer optimizer;
  void fields(Fields& f) {
    f.add("name", name, {.min_length = 1, .doc = "folder of the run"});
    f.add("data", data, {.doc = "data set"});
    f.add("seed", seed, {.min = 0, .doc = "seed of all randomness"});
    f.add("flip", flip, {.doc = "mirror half of the images"});
    f.add("widths", widths, {.unit = "channels", .min = 1, .min_length = 1, .doc = "per level"});
    f.add("scales", scales, {.doc = "factors | per level"});
    f.add("tags", tags, {.doc = "free words"});
    f.add("keep", keep, {.unit = "checkpoints", .min = 1, .doc = "how many to keep"});
    f.add("note", note, {.doc = "free text"});
    f.table("optimizer", optimizer, "AdamW");
  }
};

Job parse(std::string_view text) { return from_text<Job>(text, "run.toml"); }

/// The message of the UsageError that reading `text` throws.
std::string error_of(std::string_view text) {
  try {
    parse(text);
  } catch (const UsageError& e) {
    return e.what();
  }
  return "no error";
}

TEST(Config, ReadsEveryKindOfField) {
  const Job run = parse(R"(
name = "fashion"
data = 'C:\set.h5'
seed = 9007199254740993
flip = false
widths = [8, 16, 24]
scales = [1, 0.5, 1e-3]
tags = []
keep = 3
note = "two\nlines"
[optimizer]
learning_rate = 1   # an integer is a number too
decay = "cosine"
clip = "none"
)");
  EXPECT_EQ(run.name, "fashion");
  EXPECT_EQ(run.data, "C:\\set.h5");
  EXPECT_EQ(run.seed, 9007199254740993);
  EXPECT_FALSE(run.flip);
  EXPECT_EQ(run.widths, (std::vector<int64_t>{8, 16, 24}));
  EXPECT_EQ(run.scales, (std::vector<double>{1, 0.5, 1e-3}));
  EXPECT_TRUE(run.tags.empty());
  EXPECT_EQ(run.keep, 3);
  EXPECT_EQ(run.note, "two\nlines");
  EXPECT_EQ(run.optimizer.learning_rate, 1.0);
  EXPECT_EQ(run.optimizer.decay, Decay::cosine);
  EXPECT_FALSE(run.optimizer.clip.has_value());
  EXPECT_EQ(run.optimizer.beta1, 0.9);  // not in the file: the default
}

TEST(Config, UnknownKeyNamesTheNearestAndTheKnownOnes) {
  EXPECT_EQ(error_of("[optimizer]\nlerning_rate = 0.1"),
            "[config] unknown key 'lerning_rate' in [optimizer], perhaps 'learning_rate'; known: "
            "learning_rate, beta1, weight_decay, warmup, decay, clip (run.toml:2)");
  EXPECT_EQ(
      error_of("warmup = 3"),
      "[config] unknown key 'warmup' in the top level, perhaps 'optimizer.warmup'; known: name, "
      "data, seed, flip, widths, scales, tags, keep, note, optimizer (run.toml:1)");
  EXPECT_EQ(error_of("\n\nqqqqqq = 3").find("perhaps"), std::string::npos);
}

TEST(Config, TypesAreStrict) {
  EXPECT_EQ(error_of("seed = 1.0"),
            "[config] 'seed' must be an integer; got a number 1.0 (run.toml:1)");
  EXPECT_EQ(error_of("flip = 1"),
            "[config] 'flip' must be a boolean; got an integer 1 (run.toml:1)");
  EXPECT_EQ(
      error_of("name = 12"),
      "[config] 'name' must be a string; got an integer 12 (write it as '\"12\"') (run.toml:1)");
  EXPECT_EQ(error_of("widths = 3"),
            "[config] 'widths' must be a list of integers; got an integer 3 (run.toml:1)");
  EXPECT_EQ(error_of("widths = [3, 4.5]"),
            "[config] 'widths' must be a list of integers; got a list [3, 4.5] (run.toml:1)");
  EXPECT_EQ(error_of("optimizer = 3"),
            "[config] 'optimizer' must be a table; got an integer 3 (run.toml:1)");
  EXPECT_EQ(error_of("[optimizer]\nbeta1 = \"x\""),
            "[config] 'optimizer.beta1' must be a number; got a string \"x\" (run.toml:2)");
  EXPECT_EQ(error_of("[seed]\nx = 1"),
            "[config] 'seed' must be an integer; got a table {x = 1} (run.toml:1)");
}

TEST(Config, RangesAreNamed) {
  EXPECT_EQ(error_of("[optimizer]\nlearning_rate = 0"),
            "[config] 'optimizer.learning_rate' must be in (0, 1]; got 0 (run.toml:2)");
  EXPECT_EQ(error_of("[optimizer]\nbeta1 = 1"),
            "[config] 'optimizer.beta1' must be in [0, 1); got 1 (run.toml:2)");
  EXPECT_EQ(error_of("[optimizer]\nwarmup = -1"),
            "[config] 'optimizer.warmup' must be >= 0 updates; got -1 (run.toml:2)");
  EXPECT_EQ(error_of("[optimizer]\nweight_decay = inf"),
            "[config] 'optimizer.weight_decay' must be a finite number; got inf (run.toml:2)");
  EXPECT_EQ(error_of("[optimizer]\nclip = nan"),
            "[config] 'optimizer.clip' must be a finite number; got nan (run.toml:2)");
  EXPECT_EQ(error_of("widths = [4, 0]"),
            "[config] 'widths' must be >= 1 channels; got 0 (run.toml:1)");
  EXPECT_EQ(error_of("widths = []"),
            "[config] 'widths' needs at least 1 item; got [] (run.toml:1)");
  EXPECT_EQ(error_of("[optimizer]\ndecay = \"cosin\""),
            "[config] 'optimizer.decay' must be one of constant, cosine, linear; got \"cosin\" "
            "(run.toml:2)");
  EXPECT_EQ(error_of("[optimizer]\ndecay = \"linear\"\nwarmup = 0"),
            "[config] in [optimizer]: decay = \"linear\" needs a warmup (run.toml:2)");
  EXPECT_EQ(error_of("[optimizer]\nwarmup = 0\ndecay = \"linear\""),
            "[config] in [optimizer]: decay = \"linear\" needs a warmup (run.toml:3)");
}

TEST(Config, ABrokenRuleBlamesTheSetOfItsKeyOrNone) {
  const auto error_with = [](const std::vector<std::string>& sets) {
    Table table = parse_text("[optimizer]\nwarmup = 0", "run.toml");
    for (const std::string& s : sets) apply_override(table, s);
    return message_of([&] { from_table<Job>(table, "run.toml"); });
  };
  const std::string rule = "[config] in [optimizer]: decay = \"linear\" needs a warmup ";
  EXPECT_EQ(error_with({"optimizer.decay=linear", "optimizer.beta1=0.5"}),
            rule + "(--set optimizer.decay=linear)");
  const auto without_key = [](const std::vector<std::string>& sets) {
    struct Inner {
      int64_t a = 0, b = 0;
      void fields(Fields& f) {
        f.add("a", a, {});
        f.add("b", b, {.required = true, .doc = "needed"});
      }
    };
    struct Outer {
      Inner inner;
      void fields(Fields& f) { f.table("inner", inner, ""); }
    };
    Table table;
    for (const std::string& s : sets) apply_override(table, s);
    return message_of([&] { from_table<Outer>(table, "run.toml"); });
  };
  EXPECT_EQ(without_key({"inner.a=1"}), "[config] missing key 'inner.b': needed (run.toml)");
}

TEST(Config, RequiredKeysMustBeThere) {
  struct C {
    std::string path;
    void fields(Fields& f) { f.add("path", path, {.required = true, .doc = "the data set"}); }
  };
  EXPECT_THROW(from_text<C>("", "x.toml"), UsageError);
  EXPECT_EQ(from_text<C>("path = 'a'", "x.toml").path, "a");
  EXPECT_NE(describe<C>(Layout::text).find("required"), std::string::npos);
}

TEST(Config, AFieldDeclaredTwiceIsOurBug) {
  struct C {
    int64_t a = 0;
    void fields(Fields& f) {
      f.add("a", a, {});
      f.add("a", a, {});
    }
  };
  EXPECT_THROW(describe<C>(Layout::text), std::logic_error);
}

TEST(Config, ResolvedTomlReadsBackExactly) {
  std::mt19937_64 rng(7);
  for (int trial = 0; trial < 300; ++trial) {
    Job run;
    const auto number = [&] {
      double v;
      do {
        const uint64_t bits = rng();
        std::memcpy(&v, &bits, sizeof v);
      } while (!std::isfinite(v));
      return v;
    };
    run.scales = {number(), number(), 1e16, 1e15, 123456.0, -0.0, 5e-324, 1e-4, 1e-5, 0.1};
    run.seed = int64_t(rng() >> 1);
    run.optimizer.learning_rate = std::abs(std::sin(double(rng())));
    run.name = "q\"uo\\te\n\t\x01\x7F é";
    run.optimizer.clip.reset();
    run.note = trial % 2 ? std::optional<std::string>("") : std::nullopt;
    for (const bool comments : {false, true}) {
      const Job back = parse(to_toml(run, comments));
      EXPECT_EQ(to_toml(back), to_toml(run));
      ASSERT_EQ(back.scales.size(), run.scales.size());
      EXPECT_EQ(0, std::memcmp(back.scales.data(), run.scales.data(), 8 * run.scales.size()));
      EXPECT_EQ(back.seed, run.seed);
      EXPECT_EQ(back.optimizer.learning_rate, run.optimizer.learning_rate);
      EXPECT_EQ(back.name, run.name);
      EXPECT_EQ(back.note, run.note);
      EXPECT_FALSE(back.optimizer.clip.has_value());
    }
  }
}

TEST(Config, TomlForm) {
  EXPECT_EQ(to_toml(Optimizer{}, true),
            "learning_rate = 0.0002  # step size; (0, 1]\n"
            "beta1 = 0.9  # decay of the first moment; [0, 1)\n"
            "weight_decay = 0.0  # decoupled decay; >= 0\n"
            "warmup = 5000  # linear warm-up; updates; >= 0\n"
            "decay = \"constant\"  # shape after warm-up\n"
            "clip = 1.0  # global gradient norm; > 0\n");
}

TEST(Config, JsonForm) {
  EXPECT_EQ(to_json(Job{}), R"({
  "name": "run",
  "data": "",
  "seed": 0,
  "flip": true,
  "widths": [32, 64],
  "scales": [],
  "tags": ["a", "b"],
  "keep": null,
  "note": null,
  "optimizer": {
    "learning_rate": 0.0002,
    "beta1": 0.9,
    "weight_decay": 0.0,
    "warmup": 5000,
    "decay": "constant",
    "clip": 1.0
  }
}
)");
}

TEST(Config, DescribesEveryKey) {
  EXPECT_EQ(
      describe<Optimizer>(Layout::text),
      "key            type                        unit     range   default     meaning\n"
      "learning_rate  number                               (0, 1]  0.0002      step size\n"
      "beta1          number                               [0, 1)  0.9         decay of the first "
      "moment\n"
      "weight_decay   number                               >= 0    0.0         decoupled decay\n"
      "warmup         integer                     updates  >= 0    5000        linear warm-up\n"
      "decay          constant | cosine | linear                   \"constant\"  shape after "
      "warm-up\n"
      "clip           number or \"none\"                     > 0     1.0         global gradient "
      "norm\n");
  const std::string markdown = describe<Job>(Layout::markdown);
  EXPECT_NE(markdown.find(
                "| `optimizer.warmup` | integer | updates | `>= 0` | `5000` | linear warm-up |\n"),
            std::string::npos)
      << markdown;
  EXPECT_NE(markdown.find("constant \\| cosine \\| linear"), std::string::npos);
  EXPECT_NE(markdown.find("factors \\| per level"), std::string::npos);
}

TEST(Config, DifferencesFromDefaultsAndBetweenTwo) {
  Job run;
  EXPECT_TRUE(diff(run).empty());
  run.optimizer.clip.reset();
  run.widths = {1};
  EXPECT_EQ(diff(run), (std::vector<Change>{{"widths", "[1]", "[32, 64]"},
                                            {"optimizer.clip", "\"none\"", "1.0"}}));
  Job other = run;
  other.seed = 4;
  EXPECT_EQ(diff(run, other), (std::vector<Change>{{"seed", "0", "4"}}));
}

TEST(Config, NumbersAreShortAndExact) {
  EXPECT_EQ(number_text(2e-4), "0.0002");
  EXPECT_EQ(number_text(1e-5), "1e-5");
  EXPECT_EQ(number_text(1e20), "1e20");
  EXPECT_EQ(number_text(1.5e-300), "1.5e-300");
  EXPECT_EQ(number_text(3), "3.0");
  EXPECT_EQ(number_text(-0.0), "-0.0");
}

TEST(Config, EditDistance) {
  EXPECT_EQ(edit_distance("", "abc"), 3);
  EXPECT_EQ(edit_distance("lerning_rate", "learning_rate"), 1);
  EXPECT_EQ(edit_distance("sede", "seed"), 1);  // neighbours swapped
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3);
  EXPECT_EQ(edit_distance("same", "same"), 0);
}

}  // namespace
}  // namespace noisette::config
