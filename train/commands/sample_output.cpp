#include "train/commands/sample_output.h"

#include <algorithm>
#include <cmath>

#include "framework/data/dataset.h"
#include "framework/io/image.h"
#include "train/file_kind.h"

namespace noisette::commands {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSamplesOf = "samples of ";  // begins the source of a set

/// What an existing file is that no set of samples may replace; "" for an older set of samples.
std::string in_the_way(const fs::path& file) {
  constexpr int64_t kNotInMemory = 0;
  try {
    const FileKind kind = kind_of(file, "sample");
    if (kind == FileKind::checkpoint) return "a checkpoint";
    if (kind != FileKind::data_set) return "no set of samples";
    const DatasetInfo info = Dataset::open(file, kNotInMemory)->info();
    return info.source.starts_with(kSamplesOf)
               ? ""
               : fmt::format("a data set of {} images from {}", info.count, info.source);
  } catch (const Error&) {
    return "no set of samples that can be read";
  }
}

void check_replaceable(const fs::path& set) {
  std::error_code none;
  const std::string what = fs::exists(set, none) ? in_the_way(set) : "";
  if (!what.empty())
    throw UsageError(fmt::format(
        "[sample] {} is {}; -o replaces nothing but older samples: choose another name, or "
        "remove it first",
        set.string(), what));
}

/// What one -o asks for. Throws UsageError for what cannot be meant, and for a folder whose files
/// would be mixed with these.
Output output_of(const std::string& text) {
  const fs::path path = text;
  std::error_code none;
  const bool folder = fs::is_directory(path, none);
  const std::string extension = folder ? "" : path.extension().string();
  if (extension == ".png") return {OutputKind::grid, path};
  if (extension == ".h5") {
    check_replaceable(path);
    return {OutputKind::set, path};
  }
  if (!extension.empty())
    throw UsageError(
        fmt::format("[sample] -o takes a grid.png, a set.h5 or a folder (with a dot in its name "
                    "followed by /); got {}",
                    text));
  if (!folder && fs::exists(path, none))
    throw UsageError(fmt::format("[sample] {} is a file; -o takes a new or empty folder", text));
  if (folder && !fs::is_empty(path, none))
    throw UsageError(fmt::format(
        "[sample] the folder {} is not empty; -o takes a new or empty one, a grid.png or a set.h5",
        text));
  return {OutputKind::folder, path / ""};
}

/// The bytes of image i.
std::span<const uint8_t> bytes_of(const Samples& s, int64_t i) {
  const int64_t item = s.config.sample_size * s.config.sample_size * s.config.out_channels;
  return std::span(s.pixels).subspan(std::size_t(i * item), std::size_t(item));
}

Image picture(const Samples& s, int64_t i) {
  Image image(s.config.sample_size, s.config.sample_size, s.config.out_channels);
  std::ranges::copy(bytes_of(s, i), image.pixels.begin());
  return image;
}

/// One picture. Several classes have a row each, whose end stays white where a class has fewer
/// images; `columns` > 0 shows so many of each. Else all images fill a square, or so many columns.
void write_grid(const fs::path& path, const Samples& s, int64_t columns) {
  constexpr uint8_t kWhite = 255;
  const int64_t count = s.request.count;
  const auto& labels = s.request.labels;
  const bool by_class = s.classes > 1 && count >= s.classes;
  if (columns == 0)
    columns = by_class ? (count + s.classes - 1) / s.classes
                       : std::max(int64_t(std::ceil(std::sqrt(count))), int64_t(1));
  std::vector<uint8_t> cells;
  int64_t in_row = 0;
  for (int64_t i = 0; i < count; ++i) {
    const std::span<const uint8_t> image = bytes_of(s, i);
    if (by_class && i > 0 && labels[std::size_t(i)] != labels[std::size_t(i - 1)]) {
      cells.insert(cells.end(), std::size_t(columns - in_row) * image.size(), kWhite);
      in_row = 0;
    }
    if (by_class && in_row == columns) continue;
    cells.insert(cells.end(), image.begin(), image.end());
    ++in_row;
  }
  const int64_t size = s.config.sample_size;
  write_png(path, grid_of(cells, size, size, s.config.out_channels, columns), s.text);
}

/// `folder` is there. Nothing is left in it when a picture cannot be written.
void write_folder(const fs::path& folder, const Samples& s) {
  const auto& labels = s.request.labels;
  std::map<std::string, std::string> text = s.text;
  std::vector<fs::path> written;
  try {
    for (int64_t i = 0; i < s.request.count; ++i) {
      std::string name = fmt::format("{:05d}", s.request.first + i);
      if (!labels.empty()) {
        text["class"] = std::to_string(labels[std::size_t(i)]);
        name += "_class-" + text["class"];
      }
      const fs::path file = folder / (name + ".png");
      write_png(file, picture(s, i), text);
      written.push_back(file);
    }
  } catch (...) {
    std::error_code ignored;
    for (const fs::path& file : written) fs::remove(file, ignored);
    throw;
  }
}

/// "samples of runs/a/checkpoints/update-00001000.h5 (eta 0, first 0, guidance 2, ...)".
std::string source_of(const std::map<std::string, std::string>& text) {
  std::string facts;
  for (const auto& [key, value] : text)
    if (key != "Software" && key != "model")
      facts += fmt::format("{}{} {}", facts.empty() ? "" : ", ", key, value);
  return fmt::format("{}{} ({})", kSamplesOf, text.at("model"), facts);
}

void write_set(const fs::path& path, const Samples& s) {
  const UNetConfig& c = s.config;
  DatasetWriter writer(path, s.request.count, c.sample_size, c.sample_size, c.out_channels);
  for (int64_t i = 0; i < s.request.count; ++i)
    writer.add(bytes_of(s, i),
               s.request.labels.empty() ? -1 : int32_t(s.request.labels[std::size_t(i)]));
  std::vector<std::string> names;
  for (int64_t k = 0; k + 1 < c.num_class_embeds; ++k) names.push_back(std::to_string(k));
  writer.finish(source_of(s.text), names, {{"train", s.request.count}});
}

}  // namespace

std::vector<Output> outputs_of(const std::vector<std::string>& texts) {
  std::vector<Output> outputs;
  for (const std::string& text : texts) {
    const Output output = output_of(text);
    const auto same = [&](const Output& other) {
      return other.path.lexically_normal() == output.path.lexically_normal();
    };
    if (std::any_of(outputs.begin(), outputs.end(), same))
      throw UsageError(fmt::format("[sample] -o {} is given twice; name each output once", text));
    outputs.push_back(output);
  }
  return outputs;
}

void write_output(const Output& output, const Samples& samples, int64_t columns) {
  switch (output.kind) {
    case OutputKind::grid:
      return write_grid(output.path, samples, columns);
    case OutputKind::set:
      return write_set(output.path, samples);
    case OutputKind::folder:
      return write_folder(output.path, samples);
  }
}

}  // namespace noisette::commands
