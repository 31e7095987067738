#include "train/checkpoint.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>

#include "framework/io/hash.h"
#include "framework/io/hdf5.h"
#include "kernels/accumulate.h"

namespace noisette {
namespace {

namespace fs = std::filesystem;
constexpr int64_t kVersion = 1;
constexpr int64_t kMaxAxes = 4;
constexpr int64_t kChunk = 1 << 18;  // elements: 1 MiB of f32
constexpr std::string_view kFormat = "noisette checkpoint";
constexpr const char* kBuffers[] = {"/master", "/ema", "/m", "/v"};
constexpr const char* kBufferNames[] = {"value", "average", "first moment", "second moment"};

/// The table of parameters as a file holds it.
struct Table {
  std::vector<std::string> names;
  std::vector<int64_t> offsets, shapes;

  Shape shape(std::size_t i) const {
    std::vector<int64_t> dims;
    for (int64_t k = 0; k < kMaxAxes; ++k)
      if (const int64_t d = shapes[i * kMaxAxes + std::size_t(k)]; d >= 0) dims.push_back(d);
    return Shape(std::move(dims));
  }
};

Table table_of(const ParameterArena& arena) {
  Table t;
  for (const ParameterArena::Entry& e : arena.entries()) {
    t.names.push_back(e.name);
    t.offsets.push_back(e.offset);
    for (int64_t k = 0; k < kMaxAxes; ++k)
      t.shapes.push_back(k < e.shape.ndim() ? e.shape.dim(k) : -1);
  }
  return t;
}

template <class T>
void write_array(hdf5::File& file, const std::string& path, const std::vector<T>& values,
                 Shape shape) {
  hdf5::Dataset d = file.create_dataset(path, dtype_of<T>, shape);
  d.write_rows(0, shape.dim(0), std::as_bytes(std::span(values)));
}

Table read_table(const hdf5::File& file) {
  Table t;
  t.names = file.read_strings("/names");
  t.offsets = file.open_dataset("/offsets").read_all<int64_t>();
  t.shapes = file.open_dataset("/shapes").read_all<int64_t>();
  check_user(t.offsets.size() == t.names.size() && t.shapes.size() == t.names.size() * kMaxAxes,
             "[checkpoint] {} is damaged: {} names, {} offsets and {} extents", file.origin(),
             t.names.size(), t.offsets.size(), t.shapes.size());
  return t;
}

/// What the system cannot give us is not damaged; the library's errors do not tell the two apart.
void check_readable(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    throw UnusableCheckpoint(
        fmt::format("[checkpoint] cannot read {}: {}", path.string(), std::strerror(errno)));
  ::close(fd);
}

hdf5::File open_checked(const fs::path& path) {
  check_readable(path);
  hdf5::File file = hdf5::File::open(path);
  if (!file.has("/", "format") || file.get_string("/", "format") != kFormat)
    throw UnusableCheckpoint(
        fmt::format("[checkpoint] {} is an HDF5 file, but not a checkpoint", path.string()));
  const int64_t version = file.get_int("/", "version");
  if (version != kVersion)
    throw UnusableCheckpoint(
        fmt::format("[checkpoint] {} has format version {}; this build reads {}", path.string(),
                    version, kVersion));
  return file;
}

CheckpointInfo info_of(const hdf5::File& file) {
  CheckpointInfo info;
  info.task = file.get_string("/", "task");
  info.update = file.get_int("/", "update");
  info.config = file.get_string("/", "config");
  info.data_fingerprint = file.get_string("/", "data_fingerprint");
  const std::vector<std::string> names = file.read_strings("/number_names");
  const std::vector<double> values = file.get_doubles("/", "numbers");
  for (std::size_t i = 0; i < std::min(names.size(), values.size()); ++i)
    if (!names[i].empty()) info.numbers[names[i]] = values[i];
  return info;
}

std::vector<float> read_buffer(const hdf5::File& file, const char* name) {
  return file.open_dataset(name).read_all<float>();
}

/// Everything that keeps the file from fitting the arena, in one sentence; empty when it fits.
std::string mismatch(const Table& file, const Table& model) {
  std::string missing, extra, shapes;
  const auto join = [](std::string& list, const std::string& item) {
    list += (list.empty() ? "" : ", ") + item;
  };
  for (std::size_t i = 0; i < model.names.size(); ++i) {
    const auto at = std::find(file.names.begin(), file.names.end(), model.names[i]);
    if (at == file.names.end()) {
      join(missing, model.names[i]);
      continue;
    }
    const Shape found = file.shape(std::size_t(at - file.names.begin()));
    if (found != model.shape(i))
      join(shapes, fmt::format("{} is {} in the file and {} in the model", model.names[i], found,
                               model.shape(i)));
  }
  for (const std::string& name : file.names)
    if (std::find(model.names.begin(), model.names.end(), name) == model.names.end())
      join(extra, name);
  std::string text;
  if (!missing.empty()) text += "; missing from the file: " + missing;
  if (!extra.empty()) text += "; not in the model: " + extra;
  if (!shapes.empty()) text += "; other shape: " + shapes;
  return text;
}

}  // namespace

void save_checkpoint(const fs::path& path, const ParameterArena& arena,
                     const CheckpointInfo& info) {
  check(arena.master().dtype() == DType::f32, "[checkpoint] weights must be f32; got {}",
        arena.master().dtype());
  hdf5::File file = hdf5::File::create(path);
  file.set("/", "format", kFormat);
  file.set("/", "version", kVersion);
  file.set("/", "task", info.task);
  file.set("/", "update", info.update);
  file.set("/", "config", info.config);
  file.set("/", "data_fingerprint", info.data_fingerprint);
  std::vector<std::string> number_names{""};
  std::vector<double> numbers{0};
  for (const auto& [name, value] : info.numbers) {
    number_names.push_back(name);
    numbers.push_back(value);
  }
  file.write_strings("/number_names", number_names);
  file.set("/", "numbers", std::span<const double>(numbers));
  const Table table = table_of(arena);
  const auto n = int64_t(table.names.size());
  file.write_strings("/names", table.names);
  write_array(file, "/offsets", table.offsets, {n});
  write_array(file, "/shapes", table.shapes, {n, kMaxAxes});
  const Tensor* buffers[] = {&arena.master(), &arena.ema(), &arena.m(), &arena.v()};
  for (std::size_t i = 0; i < std::size(buffers); ++i) {
    if (!buffers[i]->defined()) continue;
    hdf5::Dataset d = file.create_dataset(kBuffers[i], DType::f32, buffers[i]->shape(),
                                          {.chunk_rows = std::min(kChunk, buffers[i]->numel())});
    const Tensor host = to_device(*buffers[i], kCpu);
    d.write_rows(0, host.numel(), std::as_bytes(host.span<float>()));
  }
  file.finish();
}

CheckpointInfo read_checkpoint_info(const fs::path& path) { return info_of(open_checked(path)); }

CheckpointContents list_checkpoint(const fs::path& path) {
  const hdf5::File file = open_checked(path);
  const Table table = read_table(file);
  CheckpointContents contents;
  for (std::size_t i = 0; i < table.names.size(); ++i)
    contents.parameters.emplace_back(table.names[i], table.shape(i));
  for (const char* name : kBuffers)
    if (file.exists(name)) contents.buffers.emplace_back(name + 1);
  return contents;
}

CheckpointInfo load_checkpoint(const fs::path& path, ParameterArena& arena) {
  const hdf5::File file = open_checked(path);
  const CheckpointInfo info = info_of(file);
  const Table table = read_table(file), model = table_of(arena);
  const std::string problems = mismatch(table, model);
  check_user(problems.empty(), "[checkpoint] {} does not fit the model{}", path.string(), problems);
  const Tensor* targets[] = {&arena.master(), &arena.ema(), &arena.m(), &arena.v()};
  std::vector<std::vector<float>> buffers(std::size(targets));
  for (std::size_t b = 0; b < std::size(targets); ++b) {
    if (!targets[b]->defined()) continue;
    check_user(file.exists(kBuffers[b]), "[checkpoint] {} has no {}, which this run needs",
               path.string(), kBuffers[b]);
    buffers[b] = read_buffer(file, kBuffers[b]);
  }
  std::vector<Tensor> hosts(std::size(targets));
  for (std::size_t b = 0; b < std::size(targets); ++b)
    if (targets[b]->defined()) hosts[b] = to_device(*targets[b], kCpu);
  for (std::size_t i = 0; i < model.names.size(); ++i) {  // all has been read: now change the arena
    const auto at = std::size_t(std::find(table.names.begin(), table.names.end(), model.names[i]) -
                                table.names.begin());
    const int64_t n = model.shape(i).numel();
    for (std::size_t b = 0; b < std::size(targets); ++b) {
      if (!targets[b]->defined()) continue;
      check_user(table.offsets[at] >= 0 && table.offsets[at] + n <= int64_t(buffers[b].size()),
                 "[checkpoint] {} is damaged: {} lies outside {}", path.string(), table.names[at],
                 kBuffers[b]);
      std::copy_n(buffers[b].data() + table.offsets[at], n,
                  hosts[b].data<float>() + model.offsets[i]);
    }
  }
  for (std::size_t b = 0; b < std::size(targets); ++b)
    if (hosts[b].defined() && !hosts[b].same_data(*targets[b]))
      copy_in(hosts[b].raw(), *targets[b]);
  arena.use(ParameterArena::Weights::master);
  return info;
}

std::string first_not_finite(const ParameterArena& arena) {
  const Tensor* buffers[] = {&arena.master(), &arena.ema(), &arena.m(), &arena.v()};
  for (std::size_t b = 0; b < std::size(buffers); ++b) {
    if (!buffers[b]->defined()) continue;
    const Tensor flat = to_device(*buffers[b], kCpu);
    if (cpu::all_finite(flat.data<float>(), flat.numel())) continue;
    for (const ParameterArena::Entry& e : arena.entries()) {
      const Tensor x = ParameterArena::view(flat, e);
      if (!cpu::all_finite(x.data<float>(), x.numel()))
        return fmt::format("{} of {}", kBufferNames[b], e.name);
    }
  }
  return "";
}

NotFinite count_not_finite(const fs::path& path) {
  const hdf5::File file = open_checked(path);
  const Table table = read_table(file);
  NotFinite found;
  for (std::size_t b = 0; b < std::size(kBuffers); ++b) {
    if (!file.exists(kBuffers[b])) continue;
    const std::vector<float> values = read_buffer(file, kBuffers[b]);
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (std::isfinite(values[i]) || found.count++ > 0) continue;
      for (std::size_t p = 0; p < table.names.size(); ++p)
        if (int64_t(i) >= table.offsets[p] &&
            int64_t(i) < table.offsets[p] + table.shape(p).numel())
          found.first = fmt::format("{} of {}", kBufferNames[b], table.names[p]);
    }
  }
  return found;
}

void verify_checkpoint(const fs::path& path) {
  const hdf5::File file = open_checked(path);
  info_of(file);
  read_table(file);
  for (const char* name : kBuffers)
    if (file.exists(name)) read_buffer(file, name);
}

CheckpointHash hash_checkpoint(const fs::path& path) {
  const hdf5::File file = open_checked(path);
  const Table table = read_table(file);
  CheckpointHash result;
  Hasher state;
  state.add(std::to_string(file.get_int("/", "update")));
  std::vector<std::vector<float>> buffers;
  for (const char* name : kBuffers) {
    buffers.push_back(file.exists(name) ? read_buffer(file, name) : std::vector<float>{});
    state.add(std::as_bytes(std::span(buffers.back())));
  }
  result.state = state.hex();
  for (std::size_t i = 0; i < table.names.size(); ++i) {
    ParameterHash p{table.names[i], table.shape(i), "", ""};
    const auto part = [&](const std::vector<float>& b) {
      return b.empty() ? std::string()
                       : hash_hex(std::as_bytes(std::span(b).subspan(
                             std::size_t(table.offsets[i]), std::size_t(p.shape.numel()))));
    };
    p.master = part(buffers[0]);
    p.ema = part(buffers[1]);
    result.parameters.push_back(std::move(p));
  }
  return result;
}

fs::path checkpoint_path(const fs::path& folder, int64_t update) {
  return folder / fmt::format("update-{:08d}.h5", update);
}

std::optional<int64_t> update_of_checkpoint(const fs::path& path) {
  const std::string name = path.filename().string();
  if (!name.starts_with("update-") || !name.ends_with(".h5")) return {};
  int64_t update = 0;
  const char *begin = name.data() + 7, *end = name.data() + name.size() - 3;
  const auto [stop, error] = std::from_chars(begin, end, update);
  if (error != std::errc() || stop != end) return {};
  return update;
}

std::vector<fs::path> list_checkpoints(const fs::path& folder) {
  std::vector<std::pair<int64_t, fs::path>> found;
  std::error_code error;
  const fs::directory_iterator entries(folder, error);
  const bool absent =
      error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory;
  check_user(!error || absent, "[checkpoint] cannot list {}: {}", folder.string(), error.message());
  for (const auto& entry : entries)
    if (const auto update = update_of_checkpoint(entry.path()))
      found.emplace_back(*update, entry.path());
  std::sort(found.begin(), found.end());
  std::vector<fs::path> paths;
  for (auto& [update, path] : found) paths.push_back(std::move(path));
  return paths;
}

std::optional<fs::path> newest_valid_checkpoint(const fs::path& folder,
                                                std::vector<std::string>& skipped) {
  std::vector<fs::path> paths = list_checkpoints(folder);
  while (!paths.empty()) {
    const fs::path path = std::move(paths.back());
    paths.pop_back();
    try {
      verify_checkpoint(path);
      return path;
    } catch (const Error& e) {
      std::error_code none;
      if (fs::symlink_status(path, none).type() == fs::file_type::not_found) {
        // Removed since it was listed: a run in training has newer ones by now.
        skipped.clear();
        paths = list_checkpoints(folder);
      } else if (dynamic_cast<const UnusableCheckpoint*>(&e)) {
        throw;
      } else {
        skipped.push_back(e.what());
      }
    }
  }
  return {};
}

std::optional<fs::path> newest_checkpoint_until(const fs::path& folder, int64_t update) {
  std::optional<fs::path> newest;
  for (fs::path& path : list_checkpoints(folder))
    if (*update_of_checkpoint(path) <= update) newest = std::move(path);
  return newest;
}

void prune_checkpoints(const fs::path& folder, int64_t keep, int64_t keep_every, int64_t weaker) {
  const std::optional<fs::path> weaker_one = newest_checkpoint_until(folder, weaker);
  std::vector<fs::path> paths = list_checkpoints(folder);
  for (std::size_t i = 0; i + std::size_t(keep) < paths.size(); ++i) {
    if (paths[i] == weaker_one) continue;
    if (keep_every > 0 && *update_of_checkpoint(paths[i]) % keep_every == 0) continue;
    std::error_code none;
    fs::remove(paths[i], none);
  }
}

}  // namespace noisette
