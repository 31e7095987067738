// noisette data: makes HDF5 data sets from published archives or folders of pictures.
#include <spdlog/spdlog.h>

#include "framework/core/check.h"
#include "framework/data/import.h"
#include "framework/report/console.h"
#include "framework/report/progress.h"
#include "framework/report/table.h"
#include "train/commands/commands.h"
#include "train/commands/options.h"

namespace noisette::commands {
namespace {

struct Options {
  std::string source, output;
  ImageFolderOptions folder;
  int64_t size = 64;
  bool grey = false, overwrite = false;
};

ImportProgress bar() {
  return [](int64_t done, int64_t total) {
    if (console().is_terminal()) console().bar(fmt::format("importing {} of {}", done, total));
  };
}

void report(const ImportResult& r, const std::string& output) {
  Table t;
  t.row({"written", output});
  t.row({"images", fmt::format("{} of {}x{}x{}", format_count(r.info.count), r.info.height,
                               r.info.width, r.info.channels)});
  for (const SplitRange& s : r.info.splits) t.row({"split " + s.name, format_count(s.count)});
  t.row({"classes", r.info.class_names.empty()
                        ? "none"
                        : fmt::format("{}", fmt::join(r.info.class_names, ", "))});
  t.row({"captions", r.info.has_captions ? "yes" : "none"});
  t.row({"fingerprint", r.info.fingerprint});
  if (r.enlarged > 0)
    t.row({"enlarged", fmt::format("{} images are smaller than the size asked for", r.enlarged)});
  std::string text = t.str();
  for (const BadFile& bad : r.skipped)
    text += fmt::format("\nskipped {}: {}", bad.path, bad.reason);
  for (const std::string& path : r.ignored)
    text += fmt::format("\nnot an image, ignored: {}", path);
  print(text);
}

/// Runs an importer and says what it made.
void run_import(const Options& o, const std::function<ImportResult()>& importer) {
  if (std::filesystem::is_regular_file(o.output) && !o.overwrite)
    throw UsageError(fmt::format(
        "[data] {} exists already; replace it with --overwrite, or name another file", o.output));
  const ParentFolders folders(o.output, "data");
  const ImportResult result = importer();
  console().end_bar();
  report(result, o.output);
}

CLI::App* source(CLI::App* data, Options& o, const char* name, const char* what) {
  CLI::App* cmd = data->add_subcommand(name, what);
  cmd->add_option("-o,--output", o.output, "HDF5 file to write; missing folders are made")
      ->required();
  cmd->add_flag("--overwrite", o.overwrite, "replace the file where there is one");
  return cmd;
}

}  // namespace

void add_data(CLI::App& app) {
  CLI::App* cmd = app.add_subcommand("data", "import a data set into one HDF5 file");
  cmd->require_subcommand(1);
  auto o = std::make_shared<Options>();

  CLI::App* fashion =
      source(cmd, *o, "fashion-mnist", "60,000 + 10,000 grey clothes of 28x28 in ten classes");
  fashion->add_option("FOLDER", o->source,
                      "folder of the four idx files; default: where the Debian package "
                      "dataset-fashion-mnist has them");
  fashion->callback([o] {
    run_import(*o, [&] {
      return import_fashion_mnist(o->source.empty() ? kFashionMnistFolder : o->source, o->output,
                                  bar());
    });
  });

  CLI::App* cifar =
      source(cmd, *o, "cifar10", "50,000 + 10,000 colour images of 32x32 in ten classes");
  cifar
      ->add_option("ARCHIVE", o->source,
                   "the official binary version: .tar.gz, or the folder extracted from it")
      ->required();
  cifar->callback(
      [o] { run_import(*o, [&] { return import_cifar10(o->source, o->output, bar()); }); });

  CLI::App* images = source(cmd, *o, "images",
                            "PNG and JPEG files below a folder; sub-folders are classes, "
                            ".txt files of the same name captions");
  images->add_option("FOLDER", o->source, "where the images are")->required();
  images
      ->add_option("--size", o->size, "width and height after resizing and cropping at the centre")
      ->check(between(1, 8192))
      ->capture_default_str();
  images->add_flag("--grey", o->grey, "one channel instead of three");
  images
      ->add_option("--test-fraction", o->folder.test_fraction,
                   "share of images held out in the split `test`")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  images->add_flag("--skip-bad", o->folder.skip_bad,
                   "leave out broken files instead of stopping; each is listed");
  images->footer(
      "The largest square at an image's centre is resized (bicubic). Transparent pixels are laid\n"
      "over white, a JPEG is turned as its EXIF orientation asks, 16-bit samples are rounded to "
      "8.\n"
      "The first sub-folder is the class; images outside of any have none, which `noisette info`\n"
      "lists as (no class).");
  images->callback([o] {
    o->folder.width = o->folder.height = o->size;
    o->folder.channels = o->grey ? 1 : 3;
    run_import(*o, [&] {
      ImportResult r = import_image_folder(o->source, o->output, o->folder, bar());
      if (o->folder.test_fraction > 0 && r.info.splits.size() == 1)
        spdlog::warn("none of the {} images fell into the split `test`, with --test-fraction {}",
                     r.info.count, o->folder.test_fraction);
      return r;
    });
  });
}

}  // namespace noisette::commands
