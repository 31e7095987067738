// noisette bench kernels: the CUDA kernels at the shapes of the UNets, counted on the software GPU.
#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "framework/core/check.h"
#include "framework/io/atomic_file.h"
#include "framework/report/table.h"
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

const KernelCase& named(const std::vector<KernelCase>& all, const std::string& name) {
  for (const KernelCase& c : all)
    if (c.name == name) return c;
  throw UsageError(fmt::format("[bench] no kernel case is called '{}'", name));
}

std::vector<Row> simulate_all(const Options& o) {
  const fs::path folder = o.simulator.empty() ? simulator_folder() : fs::path(o.simulator);
  check_user(fs::exists(folder / "libcudart.so.13"),
             "[bench] {} holds no software GPU (libcudart.so.13); build it with `scripts/build.sh "
             "--target simulator`, or say where it is with --simulator",
             folder.string());
  std::vector<Row> rows;
  for (const KernelCase& c : kernel_cases())
    if (c.family.find(o.filter) != std::string::npos || c.name.find(o.filter) != std::string::npos)
      rows.push_back({c, simulate(c, o.card, folder)});
  if (rows.empty())
    throw UsageError(fmt::format(
        "[bench] no kernel has '{}' in its family or name; families: product, convolution, "
        "attention, memory, step",
        o.filter));
  return rows;
}

void run(const Options& o) {
  check_user(!kernel_cases().empty(), "[bench] this build has no CUDA");
  if (!o.run.empty()) {
#ifdef NOISETTE_CUDA
    named(kernel_cases(), o.run).make()();
    cuda::synchronize();
#endif
    return;
  }
  if (!o.simulated)
    throw UsageError("[bench] kernels are counted on the software GPU: add --simulated");
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
      "kernels", "what CUDA kernels move and execute, at the shapes of the UNets");
  auto o = std::make_shared<Options>();
  cmd->add_flag("--simulated", o->simulated, "count them on the software GPU (simulator/)");
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
