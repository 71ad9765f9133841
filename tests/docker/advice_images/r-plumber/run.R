library(plumber)

pr("/opt/ml/code/plumber.R") |> pr_run(host = "0.0.0.0", port = 8080)
