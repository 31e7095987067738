// noisette bench kernels: the CUDA kernels at the shapes of the UNets, counted on the software GPU,
// or timed on a card beside what libraries need for the same. Not yet run on a card.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>

#include "framework/core/check.h"
#include "framework/io/atomic_file.h"
#include "framework/report/table.h"
#ifdef NOISETTE_CUDA
#include "kernels/cuda/providers/providers.h"
#endif
#include "kernels/cuda/runtime.h"
#include "train/commands/bench.h"
#include "train/commands/commands.h"
#include "train/commands/options.h"
#include "train/simulated.h"

namespace noisette::commands {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Options {
  std::string card = "h100", filter, run, simulator, out, check;
  bool simulated = false, json = false;
};

struct Row {
  KernelCase c;
  KernelFigures f;
};

/// A figure that must not get worse, lower being better unless `higher`.
struct Figure {
  const char* name;
  double value;
  bool higher = false;
};

std::vector<Figure> figures_of(const KernelFigures& f) {
  return {{"launches", double(f.launches)},
          {"spilled_bytes", double(f.spilled)},
          {"bank_conflicts", double(f.conflicts)},
          {"sectors_over_least", f.sectors},
          {"dram_over_least", f.dram},
          {"traffic_over_tiles", f.traffic},
          {"others_per_mma", f.others_per_mma},
          {"useful_share", f.useful, true}};
}

std::string text_of(const Figure& f) {
  return std::isnan(f.value) ? "" : fmt::format("{:.2f}", f.value);
}

std::string text_of(const std::vector<Row>& rows) {
  Table t({"kernel", "launches", "registers", "spilled", "conflicts", "sectors", "dram", "traffic",
           "other/mma", "useful", "us", "bound"});
  std::string family;
  for (const Row& r : rows) {
    if (!family.empty() && family != r.c.family) t.rule();
    family = r.c.family;
    const std::vector<Figure> f = figures_of(r.f);
    t.row({r.c.name, std::to_string(r.f.launches), std::to_string(r.f.registers),
           std::to_string(r.f.spilled), std::to_string(r.f.conflicts), text_of(f[3]), text_of(f[4]),
           text_of(f[5]), text_of(f[6]), text_of(f[7]), fmt::format("{:.1f}", r.f.microseconds),
           r.f.bound});
  }
  return t.str();
}

Json json_of(const std::vector<Row>& rows, const std::string& card) {
  Json j;
  j["note"] =
      "Counted on the software GPU from PTX; times are estimates. Nothing was measured on a card.";
  j["card"] = card;
  j["command"] = fmt::format("noisette bench kernels --simulated --card {}", card);
  j["kernels"] = Json::array();
  for (const Row& r : rows) {
    Json k{{"family", r.c.family},
           {"name", r.c.name},
           {"blocks_run", r.c.sample > 0 ? Json(r.c.sample) : Json("all")},
           {"registers", r.f.registers}};
    for (const Figure& f : figures_of(r.f))
      if (!std::isnan(f.value)) k[f.name] = std::round(f.value * 1e4) / 1e4;
    k["estimated_microseconds"] = std::round(r.f.microseconds * 10) / 10;
    k["bound"] = r.f.bound;
    j["kernels"].push_back(std::move(k));
  }
  return j;
}

/// Figures that are worse than a file says, a line each.
std::string worse_than(const std::vector<Row>& rows, const fs::path& file) {
  std::ifstream in(file);
  check_user(in.good(), "[bench] {} cannot be read", file.string());
  const Json stored = Json::parse(in);
  std::string worse;
  for (const Row& r : rows)
    for (const Json& k : stored.at("kernels")) {
      if (k.at("name") != r.c.name) continue;
      for (const Figure& f : figures_of(r.f)) {
        if (std::isnan(f.value) || !k.contains(f.name)) continue;
        const double was = k.at(f.name).get<double>();
        constexpr double kRounding = 1e-4;  // of the file
        if (f.higher ? f.value < was - kRounding : f.value > was + kRounding)
          worse +=
              fmt::format("\n  {}: {} is {:.4g} and was {:.4g}", r.c.name, f.name, f.value, was);
      }
    }
  return worse;
}

std::vector<KernelCase> chosen_cases(const Options& o) {
  std::vector<KernelCase> cases = kernel_cases();
  std::erase_if(cases, [&](const KernelCase& c) {
    return c.family.find(o.filter) == std::string::npos &&
           c.name.find(o.filter) == std::string::npos;
  });
  if (cases.empty())
    throw UsageError(fmt::format(
        "[bench] no kernel has '{}' in its family or name; families: product, convolution, "
        "attention, memory, step",
        o.filter));
  return cases;
}

std::vector<Row> simulate_all(const Options& o) {
  const fs::path folder = o.simulator.empty() ? simulator_folder() : fs::path(o.simulator);
  check_user(fs::exists(folder / "libcudart.so.13"),
             "[bench] {} holds no software GPU (libcudart.so.13); build it with `scripts/build.sh "
             "--target simulator`, or say where it is with --simulator",
             folder.string());
  std::vector<Row> rows;
  for (const KernelCase& c : chosen_cases(o)) rows.push_back({c, simulate(c, o.card, folder)});
  return rows;
}

#ifdef NOISETTE_CUDA

const KernelCase& named(const std::vector<KernelCase>& all, const std::string& name) {
  for (const KernelCase& c : all)
    if (c.name == name) return c;
  throw UsageError(fmt::format("[bench] no kernel case is called '{}'", name));
}

struct Timing {
  KernelCase c;
  double seconds;                                 // by what was chosen
  std::optional<cuda::providers::Choice> choice;  // of a case that libraries were asked for
};

std::vector<Timing> time_on_card(const std::vector<KernelCase>& cases) {
  using namespace cuda::providers;
  const auto warn = [](const std::string& text) { spdlog::warn("{}", text); };
  std::vector<Choice> made;
  use(std::make_unique<Selection>(
      installed(warn), real_card(0),
      Owner{.warn = warn, .known = {}, .keep = [&](const std::string&, const Choice& c) {
              made.push_back(c);
            }}));
  std::vector<Timing> timings;
  for (const KernelCase& c : cases) {
    made.clear();
    const double seconds = real_card(0)->seconds(c.make());
    timings.push_back({c, seconds, {}});
    if (made.size() == 1) timings.back().choice = made[0];  // an update asks for many
  }
  use(nullptr);
  return timings;
}

std::string text_of(const std::vector<Timing>& timings) {
  const auto microseconds = [](double s) { return s > 0 ? fmt::format("{:.1f}", s * 1e6) : ""; };
  Table t({"kernel", "us", "ours", "library", "which", "chosen"});
  for (const Timing& m : timings) {
    if (!m.choice) {
      t.row({m.c.name, microseconds(m.seconds), "", "", "", ""});
      continue;
    }
    const auto& c = *m.choice;
    t.row({m.c.name, microseconds(m.seconds), microseconds(c.ours), microseconds(c.theirs),
           c.fastest, c.plan.empty() ? "ours" : c.plan});
  }
  return t.str();
}

Json json_of(const std::vector<Timing>& timings) {
  Json j;
  j["card"] = cuda::device_info(0).name;
  j["kernels"] = Json::array();
  for (const Timing& m : timings) {
    Json k{{"family", m.c.family}, {"name", m.c.name}, {"seconds", m.seconds}};
    if (m.choice)
      k.update({{"ours", m.choice->ours},
                {"library", m.choice->theirs},
                {"which", m.choice->fastest},
                {"chosen", m.choice->plan.empty() ? "ours" : m.choice->plan}});
    j["kernels"].push_back(std::move(k));
  }
  return j;
}

void time_all(const Options& o) {
  check_user(o.check.empty(), "[bench] --check compares counts: add --simulated");
  check_user(cuda::device_count() > 0,
             "[bench] kernels are timed on a card, and none is here; --simulated counts them");
  check_user(!cuda::providers::is_simulated(0),
             "[bench] the software GPU has no clock; --simulated counts what kernels do");
  const std::vector<Timing> timings = time_on_card(chosen_cases(o));
  const Json j = json_of(timings);
  print(o.json ? j.dump(2) : text_of(timings));
  if (!o.out.empty()) write_file(o.out, j.dump(1) + "\n");
}

#endif

void run(const Options& o) {
  check_user(!kernel_cases().empty(), "[bench] this build has no CUDA");
#ifdef NOISETTE_CUDA
  if (!o.run.empty()) {
    named(kernel_cases(), o.run).make()();
    return cuda::synchronize();
  }
  if (!o.simulated) return time_all(o);
#endif
  const std::vector<Row> rows = simulate_all(o);
  const Json j = json_of(rows, o.card);
  print(o.json ? j.dump(2) : text_of(rows));
  if (!o.out.empty()) write_file(o.out, j.dump(1) + "\n");
  if (o.check.empty()) return;
  const std::string worse = worse_than(rows, o.check);
  check_user(worse.empty(), "[bench] figures got worse than in {}:{}", o.check, worse);
}

}  // namespace

void add_bench_kernels(CLI::App* bench) {
  CLI::App* cmd = bench->add_subcommand(
      "kernels", "time the CUDA kernels at the shapes of the UNets, beside those of libraries");
  auto o = std::make_shared<Options>();
  cmd->add_flag("--simulated", o->simulated,
                "count what they move and execute on the software GPU (simulator/) instead");
  cmd->add_option("--card", o->card, "whose limits the software GPU takes")
      ->check(CLI::IsMember({"h100", "a100", "rtx4090"}))
      ->capture_default_str();
  cmd->add_option("--filter", o->filter, "only kernels with this text in their family or name");
  cmd->add_option("--simulator", o->simulator, "folder of the software GPU; default: beside bin/");
  cmd->add_option("-o,--out", o->out, "also write the figures to this file, as JSON");
  cmd->add_option("--check", o->check, "fail where a figure is worse than in this file")
      ->check(CLI::ExistingFile);
  cmd->add_flag("--json", o->json, "one JSON object instead of a table");
  cmd->add_option("--run", o->run, "run one case once, by its name, for a profile")->group("");
  cmd->callback([o] { run(*o); });
}

}  // namespace noisette::commands
