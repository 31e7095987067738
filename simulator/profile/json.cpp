// The profile as it is written. simulator/tools/profile reads it.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "simulator/device/settings.h"
#include "simulator/profile/profile.h"

namespace sim {
namespace {

using Json = nlohmann::ordered_json;

Json of(const Dim3& d) { return {d.x, d.y, d.z}; }

/// Counts that are not 0.
Json of(const Counter& c) {
  Json out = Json::object();
  for (const auto& [name, field] : kCounts)
    if (c.*field != 0) out[name] = c.*field;
  return out;
}

Json of(const DeviceModel& m) {
  return {{"name", m.name},
          {"arch", m.arch()},
          {"sms", m.sms},
          {"clock_khz", m.clock_khz},
          {"l2_bytes", m.l2_bytes},
          {"memory_gbs", m.memory_gbs},
          {"l2_gbs", m.l2_gbs},
          {"f32_tflops", m.f32_tflops},
          {"f64_tflops", m.f64_tflops},
          {"f16_tflops", m.f16_tflops},
          {"tensor_f16_tflops", m.tensor_bf16_tflops},
          {"tensor_tf32_tflops", m.tensor_tf32_tflops},
          {"tensor_f64_tflops", m.tensor_f64_tflops},
          {"tensor_int8_tops", m.tensor_int8_tops}};
}

Json of(const Estimate& e) {
  Json parts = Json::object();
  for (int b = 0; b < kBounds; ++b)
    if (e.parts[size_t(b)] > 0) parts[std::string(name_of(Bound(b)))] = e.parts[size_t(b)];
  return {{"ns", e.time}, {"bound", name_of(e.bound())}, {"parts_ns", parts}};
}

Json of(const ProfileKernel& k) {
  if (!k.figures) return {{"known", false}, {"why", k.unknown}};
  const StaticFigures& f = *k.figures;
  return {{"known", true},
          {"registers", f.registers},
          {"spill_store_bytes", f.spill_stores},
          {"spill_load_bytes", f.spill_loads},
          {"stack_bytes", f.stack},
          {"shared_bytes", f.shared},
          {"constant_bytes", f.constant},
          {"barriers", f.barriers}};
}

Json of(const ProfileShape& s) {
  Json classes = Json::object(), operations = Json::object(), estimates = Json::object();
  for (int c = 0; c < kClasses; ++c)
    if (const auto& n = s.classes[c]; n.warps)
      classes[std::string(name_of(Class(c)))] = {{"warps", n.warps}, {"lanes", n.lanes}};
  for (int u = 1; u < kUnits; ++u)
    if (const uint64_t n = s.demand.operations[size_t(u)])
      operations[std::string(name_of(Unit(u)))] = n;
  for (size_t m = 0; m < s.estimates.size(); ++m) {
    Json& e = estimates[device_models()[m].key] = of(s.estimates[m]);
    e["tail"] = tail(device_models()[m], s.grid.count());
  }
  const double at_once = double(std::max(1, s.occupancy.blocks)) * device_model().sms;
  return {{"grid", of(s.grid)},
          {"block", of(s.block)},
          {"dynamic_shared_bytes", s.dynamic_shared},
          {"launches", s.launches},
          {"blocks_run", s.sample},
          {"occupancy",
           {{"blocks", s.occupancy.blocks},
            {"warps", s.occupancy.warps},
            {"limit", s.occupancy.limit},
            {"waves", double(s.grid.count()) / at_once}}},
          {"counts", of(s.counts)},
          {"classes", classes},
          {"operations", operations},
          {"slots", s.demand.slots},
          {"l2_bytes", s.demand.l2_bytes},
          {"dram_read_bytes", s.dram_read * kSector},
          {"dram_written_bytes", s.dram_written * kSector},
          {"distinct_read_bytes", s.distinct_read * kSector},
          {"distinct_written_bytes", s.distinct_written * kSector},
          {"hottest_address", s.demand.hottest},
          {"estimates", estimates}};
}

/// The innermost loop around most of the products, and what else is executed in it.
Json main_loop(const ProfileKernel& k) {
  const ProfileLoop* best = nullptr;
  uint64_t most = 0;
  const auto products = [&](const ProfileRow& r) {
    return r.counts.kind == Class::tensor ? r.counts.warps : 0;
  };
  for (const ProfileLoop& loop : k.loops) {
    uint64_t n = 0;
    for (size_t r = loop.first; r <= loop.last; ++r) n += products(k.rows[r]);
    const bool tighter = best && n == most && loop.last - loop.first < best->last - best->first;
    if (n > most || (n > 0 && tighter)) best = &loop, most = n;
  }
  if (!best) return nullptr;
  uint64_t all = 0;
  for (size_t r = best->first; r <= best->last; ++r) all += k.rows[r].counts.warps;
  return {{"first_ptx_line", k.rows[best->first].ptx_line},
          {"last_ptx_line", k.rows[best->last].ptx_line},
          {"mma", most},
          {"others", all - most}};
}

Json row_of(const ProfileRow& r, const std::vector<std::string>& files) {
  Json out = of(r.counts);
  out["ptx_line"] = r.ptx_line;
  out["text"] = r.text;
  out["class"] = name_of(r.counts.kind);
  if (r.work.each)
    out["operations"] =
        r.work.each * (r.counts.kind == Class::tensor ? r.counts.warps : r.counts.lanes);
  if (r.line) {
    out["file"] = std::find(files.begin(), files.end(), r.file) - files.begin();
    out["line"] = r.line;
  }
  return out;
}

/// With rows only of what was executed.
Json whole(const ProfileKernel& k) {
  std::vector<std::string> files;
  Json shapes = Json::array(), rows = Json::array();
  for (const ProfileShape& s : k.shapes) shapes.push_back(of(s));
  for (const ProfileRow& r : k.rows) {
    if (r.counts.warps == 0) continue;
    if (r.line && std::find(files.begin(), files.end(), r.file) == files.end())
      files.push_back(r.file);
    rows.push_back(row_of(r, files));
    if (r.function != k.name) rows.back()["function"] = readable_name(r.function);
  }
  return {{"name", readable_name(k.name)},
          {"mangled", k.name},
          {"static", of(k)},
          {"shapes", shapes},
          {"files", files},
          {"rows", rows},
          {"main_loop", main_loop(k)}};
}

}  // namespace

std::string profile_json(const std::vector<std::unique_ptr<ProfileKernel>>& kernels,
                         const Fault* fault) {
  Json cards = Json::object(), list = Json::array();
  for (const DeviceModel& m : device_models()) cards[m.key] = of(m);
  uint64_t launches = 0;
  for (const auto& k : kernels) {
    if (k->shapes.empty()) continue;
    for (const ProfileShape& s : k->shapes) launches += s.launches;
    list.push_back(whole(*k));
  }
  const Settings& s = settings();
  const Json all = {
      {"format", 1},
      {"note",
       "Counts of PTX instructions on a software GPU. Times are simulated "
       "estimates; nothing was measured on a card."},
      {"device", s.device},
      {"settings",
       {{"checks", s.checks}, {"seed", s.seed}, {"perturb", s.perturb}, {"sample", s.sample}}},
      {"fault", fault ? Json(text_of(*fault)) : Json(nullptr)},
      {"launches", launches},
      {"cards", cards},
      {"kernels", list}};
  return all.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace sim
