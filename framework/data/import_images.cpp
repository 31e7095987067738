#include <algorithm>
#include <set>

#include "framework/core/check.h"
#include "framework/data/import.h"
#include "framework/data/utf8.h"
#include "framework/io/atomic_file.h"
#include "framework/io/hash.h"
#include "framework/io/resample.h"

namespace noisette {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kMaxCaption = 1 << 16;
constexpr int64_t kBlock = 64;       // images decoded side by side
constexpr std::size_t kListed = 20;  // broken files named in an error

struct Found {
  std::string path;  // relative to the folder, with '/'
  std::string class_name;
  bool test = false;
};

struct Decoded {
  Image image;
  std::string caption, error;
  bool enlarged = false;
};

std::string lower(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? char(c + 32) : c;
  return text;
}

/// Uniform in [0, 1), a function of the path alone.
double place_of(const std::string& path) {
  return double(std::stoull(hash_hex(std::as_bytes(std::span(path))).substr(0, 13), nullptr, 16)) *
         0x1p-52;
}

std::vector<Found> find_images(const fs::path& folder, double test_fraction,
                               std::vector<std::string>& ignored) {
  check_user(fs::is_directory(folder), "[import] {} is no folder", folder.string());
  std::vector<Found> found;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, error), end; it != end; it.increment(error)) {
    check_user(!error, "[import] cannot list {}: {}", folder.string(), error.message());
    if (it->path().filename().string().starts_with('.')) {
      if (it->is_directory()) it.disable_recursion_pending();
      continue;
    }
    if (!it->is_regular_file()) continue;
    const std::string path = it->path().lexically_relative(folder).generic_string();
    const std::string kind = lower(it->path().extension().string());
    if (kind == ".png" || kind == ".jpg" || kind == ".jpeg") {
      const std::size_t slash = path.find('/');
      found.push_back(
          {path, slash == path.npos ? "" : path.substr(0, slash), place_of(path) < test_fraction});
    } else if (kind != ".txt") {
      ignored.push_back(path);
    }
  }
  check_user(!error, "[import] cannot list {}: {}", folder.string(), error.message());
  check_user(!found.empty(), "[import] {} holds no .png, .jpg or .jpeg file", folder.string());
  std::sort(ignored.begin(), ignored.end());
  std::sort(found.begin(), found.end(), [](const Found& a, const Found& b) {
    return std::tie(a.test, a.path) < std::tie(b.test, b.path);
  });
  return found;
}

std::string read_caption(fs::path image) {
  const fs::path path = image.replace_extension(".txt");
  if (!fs::exists(path)) return "";
  std::string text = read_text(path, kMaxCaption);
  check_user(is_utf8(text) && text.find('\0') == text.npos, "[import] {} is not UTF-8 text",
             path.string());
  text.erase(text.find_last_not_of(" \t\r\n") + 1);
  text.erase(0, text.find_first_not_of(" \t\r\n"));
  return text;
}

Decoded decode(const fs::path& path, const ImageFolderOptions& options) {
  Decoded d;
  try {
    const Image image = composite(read_image(path), options.background);
    d.enlarged = image.width < options.width || image.height < options.height;
    d.image = resize_and_crop(to_channels(image, options.channels), options.width, options.height);
    d.caption = read_caption(path);
  } catch (const std::exception& e) {
    d.error = e.what();
  }
  return d;
}

[[noreturn]] void fail_for(const std::vector<BadFile>& bad, std::size_t total) {
  std::string list;
  for (std::size_t i = 0; i < std::min(bad.size(), kListed); ++i)
    list += "\n  " + bad[i].path + ": " + bad[i].reason;
  if (bad.size() > kListed) list += fmt::format("\n  and {} more", bad.size() - kListed);
  throw Error(fmt::format(
      "[import] {} of {} files are broken; nothing was written (--skip-bad leaves them out):{}",
      bad.size(), total, list));
}

void check_split(int64_t train, double test_fraction) {
  check_user(train > 0,
             "[import] no image is left to train on: all of them fall into the split `test` with a "
             "test fraction of {}",
             test_fraction);
}

}  // namespace

ImportResult import_image_folder(const fs::path& folder, const fs::path& output,
                                 const ImageFolderOptions& options,
                                 const ImportProgress& progress) {
  check(options.width > 0 && options.height > 0 && (options.channels == 1 || options.channels == 3),
        "[import] images need a size and 1 or 3 channels; got {} x {} x {}", options.width,
        options.height, options.channels);
  ImportResult result;
  const std::vector<Found> files = find_images(folder, options.test_fraction, result.ignored);
  check_split(std::ranges::count(files, false, &Found::test), options.test_fraction);
  std::set<std::string> names;
  for (const Found& f : files)
    if (!f.class_name.empty()) names.insert(f.class_name);
  const std::vector<std::string> classes(names.begin(), names.end());
  const auto label_of = [&](const std::string& name) {
    const auto at = std::lower_bound(classes.begin(), classes.end(), name);
    return name.empty() ? -1 : int32_t(at - classes.begin());
  };

  const auto total = int64_t(files.size());
  DatasetWriter writer(output, total, options.height, options.width, options.channels);
  int64_t sizes[2] = {0, 0};
  for (int64_t first = 0; first < total; first += kBlock) {
    const int64_t count = std::min(kBlock, total - first);
    std::vector<Decoded> block(static_cast<std::size_t>(count));
#pragma omp parallel for schedule(dynamic)
    for (int64_t i = 0; i < count; ++i)
      block[std::size_t(i)] = decode(folder / files[std::size_t(first + i)].path, options);
    for (int64_t i = 0; i < count; ++i) {
      const Found& file = files[std::size_t(first + i)];
      Decoded& d = block[std::size_t(i)];
      if (!d.error.empty()) {
        result.skipped.push_back({file.path, d.error});
        continue;
      }
      writer.add(d.image.pixels, label_of(file.class_name), d.caption);
      ++sizes[file.test];
      result.enlarged += d.enlarged;
    }
    if (progress) progress(first + count, total);
  }
  if (!result.skipped.empty() && (!options.skip_bad || writer.count() == 0))
    fail_for(result.skipped, files.size());
  check_split(sizes[0], options.test_fraction);  // of those that could be read

  std::vector<std::pair<std::string, int64_t>> splits{{"train", sizes[0]}};
  if (sizes[1] > 0) splits.push_back({"test", sizes[1]});
  result.info =
      writer.finish("images " + folder.lexically_normal().filename().string(), classes, splits);
  return result;
}

}  // namespace noisette
