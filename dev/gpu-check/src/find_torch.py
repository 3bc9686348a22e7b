import glob, importlib.util, os
spec = importlib.util.find_spec("torch")
if spec and spec.submodule_search_locations:
    package = list(spec.submodule_search_locations)[0]
    site = os.path.dirname(package)
    folders = [os.path.join(package, "lib")] + sorted(glob.glob(os.path.join(site, "nvidia", "*", "lib")))
    print(":".join(folder for folder in folders if os.path.isdir(folder)))
