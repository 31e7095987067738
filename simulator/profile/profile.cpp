#include "simulator/profile/profile.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "simulator/device/settings.h"

namespace sim {
namespace {

/// "%p" of the name becomes the process' number; what the program does to its folder is no matter.
std::string place_of(std::string name) {
  for (size_t at; (at = name.find("%p")) != name.npos;)
    name.replace(at, 2, std::to_string(getpid()));
  return std::filesystem::absolute(name).string();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const size_t begin = std::min(text.find_first_not_of(" \t", at), end);
    lines.push_back(text.substr(begin, end - begin));
    at = end + 1;
  }
  return lines;
}

void add_rows(const Code& code, const ptx::Module& module, const std::vector<std::string>& lines,
              ProfileKernel& to) {
  const size_t first = to.rows.size();
  for (size_t k = 0; k < code.insts.size(); ++k) {
    const Inst& inst = code.insts[k];
    const ptx::Instruction& text = code.function->code[inst.source];
    ProfileRow row;
    row.function = code.function->name;
    if (const auto it = module.files.find(text.where.file); it != module.files.end())
      row.file = it->second;
    row.line = text.where.line;
    row.ptx_line = text.line;
    const bool known = text.line > 0 && text.line <= lines.size();
    row.text = known ? lines[text.line - 1] : text.text();
    row.counts.kind = inst.kind;
    row.work = work_of(text, inst.kind);
    if (text.opcode == "bra" && inst.target <= k)
      to.loops.push_back({first + inst.target, first + k});
    to.rows.push_back(std::move(row));
  }
}

/// In the order of the text, the kernel's own first.
std::vector<const Code*> codes_of(const Image& image) {
  std::vector<const Code*> all;
  for (const auto& [function, code] : image.codes) all.push_back(code.get());
  std::sort(all.begin(), all.end(), [&](const Code* a, const Code* b) {
    if ((a == image.entry) != (b == image.entry)) return a == image.entry;
    return a->function->line < b->function->line;
  });
  return all;
}

uint32_t threads_of(const Launch& launch) { return uint32_t(launch.block.count()); }

Occupancy occupancy_of_launch(const DeviceModel& model, const Launch& launch, const Kernel& kernel,
                              const StaticFigures* figures) {
  return occupancy_of(model, {threads_of(launch), figures ? figures->registers : 0,
                              kernel.info.static_shared + launch.dynamic_shared});
}

ProfileShape& shape_of_launch(ProfileKernel& kernel, const Launch& launch) {
  const auto same = [](const Dim3& a, const Dim3& b) {
    return a.x == b.x && a.y == b.y && a.z == b.z;
  };
  for (ProfileShape& s : kernel.shapes)
    if (same(s.grid, launch.grid) && same(s.block, launch.block) &&
        s.dynamic_shared == launch.dynamic_shared)
      return s;
  ProfileShape& s = kernel.shapes.emplace_back();
  s.grid = launch.grid;
  s.block = launch.block;
  s.dynamic_shared = launch.dynamic_shared;
  s.estimates.resize(device_models().size());
  return s;
}

/// Adds an instruction's counts to the row, the shape and what is asked of the card.
void add_counts(const Counter& from, ProfileRow& row, ProfileShape& shape, Demand& demand) {
  for (const auto& [name, field] : kCounts) {
    row.counts.*field += from.*field;
    shape.counts.*field += from.*field;
  }
  const auto kind = row.counts.kind;
  shape.classes[size_t(kind)].warps += from.warps;
  shape.classes[size_t(kind)].lanes += from.lanes;
  const uint64_t slots = from.warps * row.work.slots;
  demand.slots += slots;
  if (kind == Class::integer) demand.integer += slots;
  if (kind == Class::special) demand.special += from.warps;
  demand.operations[size_t(row.work.unit)] +=
      row.work.each * (kind == Class::tensor ? from.warps : from.lanes);
  demand.wavefronts += from.wavefronts;
  demand.l2_bytes += from.local_sectors * kSector;
}

void add(Demand& to, const Demand& d) {
  to.blocks += d.blocks;
  to.warps_of_block = d.warps_of_block;
  to.slots += d.slots;
  to.integer += d.integer;
  to.special += d.special;
  for (int u = 0; u < kUnits; ++u) to.operations[size_t(u)] += d.operations[size_t(u)];
  to.wavefronts += d.wavefronts;
  to.l2_bytes += d.l2_bytes;
  to.dram_bytes += d.dram_bytes;
  to.hottest += d.hottest;
}

}  // namespace

Profile* Profile::get() {
  static Profile* const profile = [] {
    if (settings().profile.empty()) return static_cast<Profile*>(nullptr);
    at_end(write);
    return new Profile(place_of(settings().profile));
  }();
  return profile;
}

Profile::Profile(std::string file) : file_(std::move(file)) {}

ProfileKernel& Profile::kernel_of(const Launch& launch, const Kernel& kernel) {
  const std::string& text = launch.program->text;
  const size_t module = launch.program->hash;
  for (const auto& k : kernels_)
    if (k->module == module && k->name == launch.kernel) return *k;
  kernels_.push_back(std::make_unique<ProfileKernel>());
  ProfileKernel& made = *kernels_.back();
  made.name = launch.kernel;
  made.module = module;
  const Assembled& told = assembled(text, module, launch.kernel, device_model().arch());
  if (told.figures)
    made.figures = &*told.figures;
  else
    made.unknown = told.failed;
  const auto lines = lines_of(text);
  for (const Code* code : codes_of(*kernel.image))
    add_rows(*code, launch.program->module, lines, made);
  return made;
}

std::unique_ptr<LaunchCounts> Profile::begin(const Launch& launch, const Kernel& kernel,
                                             const DeviceModel& model) {
  const std::lock_guard lock(mutex_);
  const ProfileKernel& known = kernel_of(launch, kernel);
  const Occupancy o = occupancy_of_launch(model, launch, kernel, known.figures);
  const auto resident = uint64_t(std::max(1, o.blocks));
  const uint64_t shared = resident * (kernel.info.static_shared + launch.dynamic_shared);
  Caches caches;
  caches.l1_sectors =
      (model.l1_shared_per_sm - std::min<uint64_t>(shared, model.l1_shared_per_sm)) / resident /
      kSector;
  caches.l2_sectors = model.l2_bytes / kSector;
  caches.wave_blocks = resident * uint64_t(model.sms);
  return std::make_unique<LaunchCounts>(caches);
}

double Profile::end(const Launch& launch, const Kernel& kernel, const DeviceModel& model,
                    uint64_t sample, LaunchCounts& counts) {
  const std::lock_guard lock(mutex_);
  counts.traffic.finish();
  counts.scale(launch.grid.count(), sample);
  ProfileKernel& known = kernel_of(launch, kernel);
  ProfileShape& shape = shape_of_launch(known, launch);
  shape.occupancy = occupancy_of_launch(model, launch, kernel, known.figures);
  shape.sample = sample;
  ++shape.launches;
  Demand demand;
  demand.blocks = launch.grid.count();
  demand.warps_of_block = (threads_of(launch) + 31) / 32;
  size_t row = 0;
  for (const Code* code : codes_of(*kernel.image)) {
    if (const auto it = counts.codes.find(code); it != counts.codes.end())
      for (size_t k = 0; k < it->second.size(); ++k)
        add_counts(it->second[k], known.rows[row + k], shape, demand);
    row += code->insts.size();
  }
  const TrafficModel& t = counts.traffic;
  demand.l2_bytes += t.l2_sectors * kSector;
  demand.dram_bytes = (t.dram_read + t.dram_written) * kSector;
  demand.hottest = counts.hottest();
  shape.dram_read += t.dram_read, shape.dram_written += t.dram_written;
  shape.distinct_read += t.distinct_read, shape.distinct_written += t.distinct_written;
  add(shape.demand, demand);
  double time = 0;
  for (size_t m = 0; m < device_models().size(); ++m) {
    const Estimate e = estimate(device_models()[m], demand);
    Estimate& sum = shape.estimates[m];
    for (int b = 0; b < kBounds; ++b) sum.parts[size_t(b)] += e.parts[size_t(b)];
    sum.time += e.time;
    if (device_models()[m].key == model.key) time = e.time;
  }
  return time;
}

/// Under another name first: who reads the file sees all of it or the one before.
void Profile::write(const Fault* fault) {
  Profile& p = *get();
  const std::lock_guard lock(p.mutex_);
  const std::string text = profile_json(p.kernels_, fault);
  const std::string fresh = p.file_ + "." + std::to_string(getpid()) + ".tmp";
  FILE* out = std::fopen(fresh.c_str(), "w");
  bool written = out && std::fwrite(text.data(), 1, text.size(), out) == text.size();
  if (out) written = std::fclose(out) == 0 && written;
  if (written) written = std::rename(fresh.c_str(), p.file_.c_str()) == 0;
  if (written) return;
  std::fprintf(stderr, "sim: the profile cannot be written to %s\n", p.file_.c_str());
  std::remove(fresh.c_str());
}

}  // namespace sim
